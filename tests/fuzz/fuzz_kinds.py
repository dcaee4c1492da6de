"""Every kind of file that comes from outside: a sound example, how it is spoilt, and the functions that read it.

A new reader needs an entry here: ``test_fuzz.py`` finds the functions of the package that open files and fails where
no kind runs one of them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fuzz_readers as read
import fuzz_sound as sound
import numpy as np
from fuzz_mutations import BYTES, Mutation
from fuzz_spoil_archives import NPZ, inside_zip, same_zip, spoil_npy, spoil_zip, zip_bomb, zip_directory
from fuzz_spoil_images import PNG, TIFF, big_png, spoil_bmp, spoil_jpeg
from fuzz_spoil_pickles import hostile_pickle, spoil_checkpoint, spoil_pickle
from fuzz_spoil_text import CSV, JSON, YAML, same_csv, same_json


@dataclass(frozen=True)
class Kind:
    """A kind of file.

    Attributes:
        write: Writes a sound file by its name; the others of a name's folder may be written with it.
        reads: Functions that read it.
        spoil: Mutations that keep its structure; those of bytes and of places come on top.
        same: Mutations that do not change what it says.
        rare: Mutations that take seconds or much memory to make.
        needs_torch: Whether its readers do.
        checked: Whether the format has checksums, so that no damage of bytes may go unnoticed.
        about: What a refusal may name instead of the file, where it is about the data as a whole.
    """

    write: dict[str, sound.Write]
    reads: Sequence[Callable[[Path], Any]]
    spoil: Sequence[Mutation] = ()
    same: Sequence[Mutation] = ()
    rare: Sequence[Mutation] = ()
    needs_torch: bool = False
    checked: bool = False
    about: str = ''


COMPANIONS: dict[str, sound.Write] = {
    'sound_coco.json': sound.plain_json(sound.coco_content),
    'sound_results.json': sound.plain_json(sound.results_content),
    'sound_train.csv': sound.text(sound.train_csv),
    'sound_cells.csv': lambda path: sound.write_table(path),
    'image.png': lambda path: sound.write_image(sound.grey_image)(path),
}
"""Sound files beside the spoilt one, for readers of two files."""

KINDS: dict[str, Kind] = {
    'coco': Kind(
        {'annotations.json': sound.plain_json(sound.coco_content)},
        [
            read.coco,
            read.coco,
            read.coco_for_training,
            read.coco_facts,
            read.coco_labels,
            read.info,
            read.merged_coco,
            read.results_of_dataset,
            read.own_images,
        ],
        JSON,
        [same_json],
    ),
    'coco_results': Kind(
        {'results.json': sound.plain_json(sound.results_content)},
        [read.results, read.results, read.results_alone, read.result_boxes],
        JSON,
        [same_json],
    ),
    'predictions': Kind(
        {
            'predictions_val.npz': sound.write_npz,
            'predictions_val_fused.npz': sound.write_fused,
            'predictions_val_boxes.npz': sound.write_boxes,
        },
        [read.predictions, read.predictions, read.header, read.found_predictions, read.leaderboard_rows],
        NPZ,
        [same_zip],
        [zip_bomb],
        checked=True,
    ),
    'train_csv': Kind(
        {'train.csv': sound.text(sound.train_csv)},
        [read.train_csv, read.train_csv, read.train_csv_facts, read.train_csv_rows, read.label_table, read.coco_labels],
        CSV,
        [same_csv],
    ),
    'training_data': Kind(
        {'train.csv': sound.text(sound.train_csv)}, [read.prepared], CSV, [same_csv], about='folds need as many groups'
    ),
    'livecell': Kind(
        {'livecell_coco_train.json': sound.plain_json(sound.livecell_content)}, [read.livecell], JSON, [same_json]
    ),
    'submission': Kind(
        {'submission.csv': sound.text(sound.submission_csv)},
        [read.submission, read.submission, read.check_submission, read.score_submission],
        CSV,
        [same_csv],
    ),
    'edits': Kind({'edits.csv': sound.text(sound.edits_csv)}, [read.edits], CSV, [same_csv]),
    'folds': Kind(
        {'folds.csv': sound.text(lambda: sound.csv_text(('id', 'group', 'fold'), [('a', 'g', 0), ('b', 'h', 1)]))},
        [read.folds],
        CSV,
        [same_csv],
    ),
    'image_list': Kind(
        {'images.csv': sound.text(lambda: sound.csv_text(('image', 'path'), [('a', '/a.png'), ('b', '/b.png')]))},
        [read.image_list],
        CSV,
        [same_csv],
    ),
    'cell_table': Kind({'a_cells.csv': sound.write_table}, [read.merged_tables], CSV),
    'download': Kind(
        {'sartorius-cell-instance-segmentation.zip': sound.write_download},
        [read.unpacked],
        [spoil_zip, zip_directory],
        [same_zip],
        checked=True,
    ),
    'png': Kind(
        {
            'a.png': sound.write_image(sound.grey_image),
            'colour.png': sound.write_image(sound.colour),
            'deep.png': sound.write_image(sound.deep),
            'bits.png': sound.write_image(sound.bits),
            'alpha.png': sound.write_image(sound.with_alpha),
        },
        [read.image, read.model_image, read.shown_image],
        PNG,
        rare=[big_png],
        checked=True,
    ),
    'jpeg': Kind(
        {'a.jpg': sound.write_image(sound.colour)}, [read.image, read.model_image, read.shown_image], [spoil_jpeg]
    ),
    'bmp': Kind(
        {'a.bmp': sound.write_image(sound.colour)}, [read.image, read.model_image, read.shown_image], [spoil_bmp]
    ),
    'tiff': Kind(
        {
            'a.tif': sound.write_image(sound.grey_image),
            'deflated.tif': sound.write_image(sound.colour, compression='zlib', photometric='rgb'),
            'movie.tif': sound.write_image(
                sound.movie, imagej=True, metadata={'axes': 'TYX', 'fps': 1.0}, resolution=(1.5, 1.5)
            ),
            'ome.ome.tif': sound.write_image(sound.movie, ome=True, metadata={'axes': 'TYX', 'PhysicalSizeX': 0.5}),
            'tiles.tif': sound.write_image(
                lambda: np.tile(sound.movie()[0], (2, 2)), tile=(16, 16), compression='zlib', predictor=True
            ),
            'lzw.tiff': sound.write_image(sound.colour, compression='tiff_lzw'),
            'deep.tiff': sound.write_deep_colour,
        },
        [read.image, read.model_image, read.shown_image],
        TIFF,
    ),
    'label_image': Kind(
        {
            'a_masks.tif': sound.write_image(sound.labels, compression='zlib'),
            'a_masks.png': sound.write_image(sound.labels),
        },
        [read.label_image, read.label_image, read.label_pieces],
        [*TIFF, *PNG],
        rare=[big_png],
    ),
    'seg_npy': Kind(
        {'a_seg.npy': sound.write_seg},
        [read.label_image, read.label_image, read.label_pieces],
        [spoil_pickle, spoil_pickle, hostile_pickle, spoil_npy],
    ),
    'rois': Kind(
        {'a_rois.zip': sound.write_rois},
        [read.rois],
        [inside_zip(*BYTES), inside_zip(*BYTES), spoil_zip, zip_directory],
        [same_zip],
        [zip_bomb],
        checked=True,
    ),
    'roi': Kind({'a.roi': sound.write_roi}, [read.rois]),
    'geojson': Kind({'a.geojson': sound.plain_json(sound.geojson_content)}, [read.geojson], JSON, [same_json]),
    'labelme': Kind(
        {'image.json': sound.plain_json(sound.labelme_content)},
        [read.labelme, read.labelme, read.found_labels],
        JSON,
        [same_json],
    ),
    'chain': Kind(
        {'postprocess.json': sound.plain_json(sound.chain_content)},
        [read.chain],
        JSON,
        [same_json],
    ),
    'recipe': Kind(
        {
            'fusion.json': sound.plain_json(
                lambda: {
                    'fusion': {
                        'method': {'type': 'wbf', 'iou_threshold': 0.6},
                        'members': [{'predictions': 'a.npz', 'weight': 2}, {'predictions': 'b.npz'}],
                    }
                }
            )
        },
        [read.recipe],
        JSON,
        [same_json],
    ),
    'rules': Kind(
        {'rules.json': sound.plain_json(sound.rules_content)},
        [read.rules],
        JSON,
        [same_json],
    ),
    'workflow': Kind(
        {
            'workflow.yaml': sound.text(lambda: sound.configs('workflows/demo.yaml')),
            'boxes.yaml': sound.text(lambda: sound.configs('workflows/boxes.yaml')),
            'predict.yaml': sound.text(lambda: sound.configs('workflows/predict.yaml')),
        },
        [read.workflow],
        YAML,
    ),
    'plan': Kind({'workflow.json': sound.write_plan}, [read.plan], JSON),
    'stage_record': Kind(
        {'record.json': sound.plain_json(sound.stage_record_content)}, [read.stage_record], JSON, [same_json]
    ),
    'run_record': Kind({'run.json': sound.write_run}, [read.run_record], JSON, [same_json]),
    'image_record': Kind(
        {'record.json': sound.plain_json(sound.image_record_content)}, [read.image_record], JSON, [same_json]
    ),
    'timing': Kind({'predictions.timing.json': sound.write_timing}, [read.timing], JSON, [same_json]),
    'named_config': Kind(
        {'config.py': sound.text(lambda: '# A comment\n# of a config.\na = 1\n')}, [read.config_comment]
    ),
    'last_checkpoint': Kind({'last_checkpoint': sound.text(lambda: '/somewhere/iter_3.pth')}, [read.last_checkpoint]),
    'checkpoint': Kind(
        {'iter_3.pth': sound.sound_checkpoint, 'old.pth': sound.old_checkpoint},
        [read.checkpoint, read.checkpoint, read.checkpoint_weights, read.checkpoint_damage],
        [
            spoil_checkpoint,
            inside_zip(spoil_pickle),
            inside_zip(hostile_pickle),
            hostile_pickle,
            spoil_zip,
            zip_directory,
        ],
        [],
        [zip_bomb],
        needs_torch=True,
    ),
    'model_file': Kind(
        {'cells.pth': sound.sound_model},
        [read.model_file],
        [spoil_checkpoint, spoil_checkpoint, spoil_checkpoint, inside_zip(spoil_pickle), zip_directory],
        needs_torch=True,
    ),
}
