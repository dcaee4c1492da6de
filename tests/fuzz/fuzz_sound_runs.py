"""Sound files that runs take and leave: predictions, exports, submissions, settings, records, checkpoints."""

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from fuzz_sound_data import CLASSES, SIZE, crops, csv_text

# The sound content


def results_content() -> list[dict[str, Any]]:
    """Results of another detector for :func:`fuzz_sound_data.coco_content`."""
    from sartorius.masks.coco_rle import encode

    return [
        {
            'image_id': number,
            'category_id': label,
            'bbox': [float(value) for value in box],
            'score': score,
            'segmentation': encode(crop, SIZE),
        }
        for number, label, box, score, crop in zip(
            (1, 1, 2),
            (1, 2, 3),
            ([5, 5, 10, 8], [30, 10, 13, 13], [52, 31, 8, 9]),
            (0.9, 0.5, 0.25),
            crops(),
            strict=True,
        )
    ]


@cache
def predictions() -> Any:
    """Predictions of two images, the second without cells."""
    from sartorius.predictions.provenance import DataRecord, ModelSource, RunData, RunRecord
    from sartorius.predictions.structures import ImagePredictions, PredictionSet

    rng = np.random.default_rng(0)
    image = ImagePredictions(
        image_id='a',
        size=SIZE,
        boxes=np.array([crop.window for crop in crops()], np.float32),
        scores=np.array([0.9, 0.5, 0.25], np.float32),
        labels=np.array([0, 1, 2]),
        soft_masks=rng.random((3, 7, 7), np.float32),
    )
    run = RunRecord(
        recipe='r',
        fold=0,
        config_sha256='c',
        seed=1,
        iterations=9,
        iterations_done=9,
        device='cpu',
        data=RunData(train=DataRecord(file='fold0_train.json', images=2, fold=0)),
    )
    source = ModelSource(split='val', annotations='fold0_val.json', fold=0, run=run)
    return PredictionSet((image, ImagePredictions.empty('b', SIZE, 7)), CLASSES, source)


def fused_predictions() -> Any:
    """Predictions whose source names two models."""
    from dataclasses import replace

    from sartorius.predictions.provenance import FusedSource, Member

    members = tuple(Member(name=name, source=predictions().source, images=2, weight=1.0) for name in 'ab')
    source = FusedSource(members=members, method='wbf', settings={'iou_threshold': 0.6}, dropped={'low_score': 1})
    return replace(predictions(), source=source)


def boxes_alone() -> Any:
    """Predictions without masks."""
    from dataclasses import replace

    images = [replace(image, soft_masks=np.zeros((len(image), 0, 0), np.float32)) for image in predictions().images]
    return replace(predictions(), images=tuple(images))


def submission_csv() -> str:
    """Submission of two images, the second without cells."""
    from sartorius.masks.kaggle_rle import encode

    return csv_text(('id', 'predicted'), [*(('a', encode(crop, SIZE)) for crop in crops()), ('b', '')])


def exported() -> Any:
    """The cells of :func:`predictions` as exports take them."""
    from dataclasses import replace

    from sartorius.export.structures import ExportedImage

    return ExportedImage('a', (replace(predictions().images[0], crops=crops()),), CLASSES, file_name='a.png')


def stage_record_content() -> dict[str, Any]:
    state = {'size': 3, 'changed': 1, 'sha256': 'ab'}
    return {
        'state': 'done',
        'fingerprint': 'f',
        'started': 1.0,
        'seconds': 2.0,
        'outputs': {'all.json': state},
        'code': None,
    }


def image_record_content() -> dict[str, Any]:
    state = {'size': 3, 'changed': 1, 'sha256': 'ab'}
    frame = {'frame': 0, 'cells': 3, 'by_class': {'astro': 3}, 'covered': 0.5, 'median_area_px': 80.0}
    return {
        'image': 'a',
        'file': 'a.png',
        'status': 'done',
        'source': state,
        'outputs': {'masks': state},
        'height': 40,
        'width': 60,
        'frames': [frame],
        'version': 1,
    }


def chain_content() -> dict[str, Any]:
    from sartorius.postprocess.chain import load_chain

    return {'postprocess': load_chain().to_config(), 'evidence': {}}


def rules_content() -> dict[str, Any]:
    from dataclasses import asdict

    from sartorius.pseudo_labels.rules import load_rules

    return {'pseudo_labels': asdict(load_rules())}


def sound_plan(folder: Path) -> Any:
    from sartorius.workflow.stages import Stage, WorkflowPlan

    first = Stage(
        'prepare', 'all', ('tools/prepare_sartorius.py', '--out', str(folder)), (), (str(folder / 'all.json'),)
    )
    second = Stage(
        'train',
        'fold0/r',
        ('tools/train.py', 'r'),
        (str(folder / 'all.json'),),
        (str(folder / 'r.pth'),),
        work_dir=str(folder),
    )
    return WorkflowPlan(folder, folder, {stage.key: stage for stage in (first, second)})


def configs(name: str) -> str:
    from sartorius.utils.paths import CONFIG_DIR

    return (CONFIG_DIR / name).read_text(encoding='utf-8')


# Writers of the sound files


def write_npz(path: Path) -> None:
    from sartorius.predictions.store import save_predictions

    save_predictions(path, predictions())


def write_fused(path: Path) -> None:
    from sartorius.predictions.store import save_predictions

    save_predictions(path, fused_predictions())


def write_boxes(path: Path) -> None:
    from sartorius.predictions.store import save_predictions

    save_predictions(path, boxes_alone())


def write_run(path: Path) -> None:
    from sartorius.predictions.provenance import write_run

    write_run(path.parent, predictions().source.run)


def write_timing(path: Path) -> None:
    from sartorius.predictions.timing import write_timing
    from sartorius.utils.files import sha256_of

    predictions_file = path.with_name('predictions.npz')
    write_npz(predictions_file)
    write_timing(predictions_file, sha256_of(predictions_file), 0.5)


def write_plan(path: Path) -> None:
    from sartorius.workflow.stages import save_plan

    save_plan(sound_plan(path.parent))


def write_table(path: Path) -> None:
    from sartorius.export.cell_table import write_table

    write_table(path, exported())


def write_rois(path: Path) -> None:
    from sartorius.export.imagej_rois import write_roi_zip

    write_roi_zip(path, exported())


def write_roi(path: Path) -> None:
    from sartorius.export.imagej_rois import _region

    path.write_bytes(_region(crops()[1]).tobytes())


def sound_checkpoint(path: Path) -> None:
    import torch

    content = {
        'meta': {
            'cfg': 'a = 1',
            'iter': 3,
            'seed': 7,
            'dataset_meta': {'classes': CLASSES, 'palette': [[1, 2, 3]] * 3},
        },
        'state_dict': {
            'a.weight': torch.arange(12.0).reshape(3, 4),
            'a.bias': torch.ones(3),
            'a.num_batches_tracked': torch.tensor(3),
        },
        'optimizer': {
            'state': {0: {'momentum_buffer': torch.zeros(3, 4)}},
            'param_groups': [{'lr': 0.1, 'params': [0]}],
        },
        'param_schedulers': [{'last_step': 3}],
    }
    torch.save(content, path)


def old_checkpoint(path: Path) -> None:
    """A checkpoint as PyTorch wrote them before 1.6: no archive."""
    import torch

    content = {'meta': {'iter': 3}, 'state_dict': {'a.weight': torch.arange(12.0).reshape(3, 4)}}
    torch.save(content, path, _use_new_zipfile_serialization=False)


def sound_model(path: Path) -> None:
    import torch

    from sartorius.models.model_file import find_model

    content = torch.load(find_model(), weights_only=True)
    content['state_dict'] = dict(list(content['state_dict'].items())[:6])
    torch.save(content, path)
