"""Every kind of file that comes from outside: a sound example, how it is spoilt, and the functions that read it.

A new reader needs an entry here: ``test_fuzz.py`` finds the functions of the package that open files and fails where
no kind runs one of them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fuzz_read_data as read_data
import fuzz_read_runs as read_runs
import fuzz_sound_data as sound_data
import fuzz_sound_runs as sound_runs
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

    write: dict[str, sound_data.Write]
    reads: Sequence[Callable[[Path], Any]]
    spoil: Sequence[Mutation] = ()
    same: Sequence[Mutation] = ()
    rare: Sequence[Mutation] = ()
    needs_torch: bool = False
    checked: bool = False
    about: str = ''


COMPANIONS: dict[str, sound_data.Write] = {
    'sound_coco.json': sound_data.plain_json(sound_data.coco_content),
    'sound_results.json': sound_data.plain_json(sound_runs.results_content),
    'sound_train.csv': sound_data.text(sound_data.train_csv),
    'sound_cells.csv': lambda path: sound_runs.write_table(path),
    'image.png': lambda path: sound_data.write_image(sound_data.grey_image)(path),
}
"""Sound files beside the spoilt one, for readers of two files."""

KINDS: dict[str, Kind] = {
    'coco': Kind(
        {'annotations.json': sound_data.plain_json(sound_data.coco_content)},
        [
            read_data.coco,
            read_data.coco,
            read_data.coco_for_training,
            read_data.coco_facts,
            read_data.coco_labels,
            read_data.info,
            read_data.merged_coco,
            read_runs.results_of_dataset,
            read_data.own_images,
        ],
        JSON,
        [same_json],
    ),
    'coco_results': Kind(
        {'results.json': sound_data.plain_json(sound_runs.results_content)},
        [read_runs.results, read_runs.results, read_runs.results_alone, read_runs.result_boxes],
        JSON,
        [same_json],
    ),
    'predictions': Kind(
        {
            'predictions_val.npz': sound_runs.write_npz,
            'predictions_val_fused.npz': sound_runs.write_fused,
            'predictions_val_boxes.npz': sound_runs.write_boxes,
        },
        [
            read_runs.predictions,
            read_runs.predictions,
            read_runs.header,
            read_runs.found_predictions,
            read_runs.leaderboard_rows,
        ],
        NPZ,
        [same_zip],
        [zip_bomb],
        checked=True,
    ),
    'train_csv': Kind(
        {'train.csv': sound_data.text(sound_data.train_csv)},
        [
            read_data.train_csv,
            read_data.train_csv,
            read_data.train_csv_facts,
            read_data.train_csv_rows,
            read_data.label_table,
            read_data.coco_labels,
        ],
        CSV,
        [same_csv],
    ),
    'training_data': Kind(
        {'train.csv': sound_data.text(sound_data.train_csv)},
        [read_data.prepared],
        CSV,
        [same_csv],
        about='folds need as many groups',
    ),
    'livecell': Kind(
        {'livecell_coco_train.json': sound_data.plain_json(sound_data.livecell_content)},
        [read_data.livecell],
        JSON,
        [same_json],
    ),
    'submission': Kind(
        {'submission.csv': sound_data.text(sound_runs.submission_csv)},
        [read_runs.submission, read_runs.submission, read_runs.check_submission, read_runs.score_submission],
        CSV,
        [same_csv],
    ),
    'edits': Kind({'edits.csv': sound_data.text(sound_data.edits_csv)}, [read_data.edits], CSV, [same_csv]),
    'folds': Kind(
        {
            'folds.csv': sound_data.text(
                lambda: sound_data.csv_text(('id', 'group', 'fold'), [('a', 'g', 0), ('b', 'h', 1)])
            )
        },
        [read_data.folds],
        CSV,
        [same_csv],
    ),
    'image_list': Kind(
        {
            'images.csv': sound_data.text(
                lambda: sound_data.csv_text(('image', 'path'), [('a', '/a.png'), ('b', '/b.png')])
            )
        },
        [read_data.image_list],
        CSV,
        [same_csv],
    ),
    'cell_table': Kind({'a_cells.csv': sound_runs.write_table}, [read_runs.merged_tables], CSV),
    'download': Kind(
        {'sartorius-cell-instance-segmentation.zip': sound_data.write_download},
        [read_data.unpacked],
        [spoil_zip, zip_directory],
        [same_zip],
        checked=True,
    ),
    'png': Kind(
        {
            'a.png': sound_data.write_image(sound_data.grey_image),
            'colour.png': sound_data.write_image(sound_data.colour),
            'deep.png': sound_data.write_image(sound_data.deep),
            'bits.png': sound_data.write_image(sound_data.bits),
            'alpha.png': sound_data.write_image(sound_data.with_alpha),
        },
        [read_data.image, read_data.model_image, read_data.shown_image],
        PNG,
        rare=[big_png],
        checked=True,
    ),
    'jpeg': Kind(
        {'a.jpg': sound_data.write_image(sound_data.colour)},
        [read_data.image, read_data.model_image, read_data.shown_image],
        [spoil_jpeg],
    ),
    'bmp': Kind(
        {'a.bmp': sound_data.write_image(sound_data.colour)},
        [read_data.image, read_data.model_image, read_data.shown_image],
        [spoil_bmp],
    ),
    'tiff': Kind(
        {
            'a.tif': sound_data.write_image(sound_data.grey_image),
            'deflated.tif': sound_data.write_image(sound_data.colour, compression='zlib', photometric='rgb'),
            'movie.tif': sound_data.write_image(
                sound_data.movie, imagej=True, metadata={'axes': 'TYX', 'fps': 1.0}, resolution=(1.5, 1.5)
            ),
            'ome.ome.tif': sound_data.write_image(
                sound_data.movie, ome=True, metadata={'axes': 'TYX', 'PhysicalSizeX': 0.5}
            ),
            'tiles.tif': sound_data.write_image(
                lambda: np.tile(sound_data.movie()[0], (2, 2)), tile=(16, 16), compression='zlib', predictor=True
            ),
            'lzw.tiff': sound_data.write_image(sound_data.colour, compression='tiff_lzw'),
            'deep.tiff': sound_data.write_deep_colour,
        },
        [read_data.image, read_data.model_image, read_data.shown_image],
        TIFF,
    ),
    'label_image': Kind(
        {
            'a_masks.tif': sound_data.write_image(sound_data.labels, compression='zlib'),
            'a_masks.png': sound_data.write_image(sound_data.labels),
        },
        [read_data.label_image, read_data.label_image, read_data.label_pieces],
        [*TIFF, *PNG],
        rare=[big_png],
    ),
    'seg_npy': Kind(
        {'a_seg.npy': sound_data.write_seg},
        [read_data.label_image, read_data.label_image, read_data.label_pieces],
        [spoil_pickle, spoil_pickle, hostile_pickle, spoil_npy],
    ),
    'rois': Kind(
        {'a_rois.zip': sound_runs.write_rois},
        [read_data.rois],
        [inside_zip(*BYTES), inside_zip(*BYTES), spoil_zip, zip_directory],
        [same_zip],
        [zip_bomb],
        checked=True,
    ),
    'roi': Kind({'a.roi': sound_runs.write_roi}, [read_data.rois]),
    'geojson': Kind(
        {'a.geojson': sound_data.plain_json(sound_data.geojson_content)}, [read_data.geojson], JSON, [same_json]
    ),
    'labelme': Kind(
        {'image.json': sound_data.plain_json(sound_data.labelme_content)},
        [read_data.labelme, read_data.labelme, read_data.found_labels],
        JSON,
        [same_json],
    ),
    'chain': Kind(
        {'postprocess.json': sound_data.plain_json(sound_runs.chain_content)},
        [read_runs.chain],
        JSON,
        [same_json],
    ),
    'recipe': Kind(
        {
            'fusion.json': sound_data.plain_json(
                lambda: {
                    'fusion': {
                        'method': {'type': 'wbf', 'iou_threshold': 0.6},
                        'members': [{'predictions': 'a.npz', 'weight': 2}, {'predictions': 'b.npz'}],
                    }
                }
            )
        },
        [read_runs.recipe],
        JSON,
        [same_json],
    ),
    'rules': Kind(
        {'rules.json': sound_data.plain_json(sound_runs.rules_content)},
        [read_runs.rules],
        JSON,
        [same_json],
    ),
    'workflow': Kind(
        {
            'workflow.yaml': sound_data.text(lambda: sound_runs.configs('workflows/demo.yaml')),
            'boxes.yaml': sound_data.text(lambda: sound_runs.configs('workflows/boxes.yaml')),
            'predict.yaml': sound_data.text(lambda: sound_runs.configs('workflows/predict.yaml')),
        },
        [read_runs.workflow],
        YAML,
    ),
    'plan': Kind({'workflow.json': sound_runs.write_plan}, [read_runs.plan], JSON),
    'stage_record': Kind(
        {'record.json': sound_data.plain_json(sound_runs.stage_record_content)},
        [read_runs.stage_record],
        JSON,
        [same_json],
    ),
    'run_record': Kind({'run.json': sound_runs.write_run}, [read_runs.run_record], JSON, [same_json]),
    'image_record': Kind(
        {'record.json': sound_data.plain_json(sound_runs.image_record_content)},
        [read_runs.image_record],
        JSON,
        [same_json],
    ),
    'timing': Kind({'predictions.timing.json': sound_runs.write_timing}, [read_runs.timing], JSON, [same_json]),
    'named_config': Kind(
        {'config.py': sound_data.text(lambda: '# A comment\n# of a config.\na = 1\n')}, [read_runs.config_comment]
    ),
    'last_checkpoint': Kind(
        {'last_checkpoint': sound_data.text(lambda: '/somewhere/iter_3.pth')}, [read_runs.last_checkpoint]
    ),
    'checkpoint': Kind(
        {'iter_3.pth': sound_runs.sound_checkpoint, 'old.pth': sound_runs.old_checkpoint},
        [read_runs.checkpoint, read_runs.checkpoint, read_runs.checkpoint_weights, read_runs.checkpoint_damage],
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
        {'cells.pth': sound_runs.sound_model},
        [read_runs.model_file],
        [spoil_checkpoint, spoil_checkpoint, spoil_checkpoint, inside_zip(spoil_pickle), zip_directory],
        needs_torch=True,
    ),
}
