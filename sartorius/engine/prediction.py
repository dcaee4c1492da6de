"""What tools/test.py does."""

from argparse import Namespace
from pathlib import Path
from typing import Any

from mmdet.registry import DATASETS
from mmengine import dist
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import Runner

from sartorius.engine.config import (
    classes_of,
)
from sartorius.engine.inference_mode import read_orientations, read_scales, read_tiles, set_inference_mode
from sartorius.engine.launch import join_processes, launcher_of_this_process, plain_worker_errors
from sartorius.engine.run_config import DataOptions, RecipeOptions, build_prediction_config
from sartorius.engine.run_record import package_versions, run_of_checkpoint
from sartorius.inference.load_box_prompts import read_box_prompts
from sartorius.models.checkpoints import read_checkpoint
from sartorius.models.outputs import box_limits
from sartorius.predictions.store import SUFFIX, check_suffix, read_header
from sartorius.utils.cli import options_as
from sartorius.utils.errors import InputError, UsageError
from sartorius.utils.files import sha256_of
from sartorius.utils.paths import display_path


def predict_split(options: Namespace) -> Path:
    """Predicts one split of the data and writes the predictions file.

    Args:
        options: The parsed options of tools/test.py.

    Returns:
        Path of the predictions file.

    Raises:
        UsageError: The predictions file cannot have the name that was asked for, or masks are asked of a model that
            draws none.
        InputError: Data, checkpoint or boxes are missing, broken or do not go together.
    """
    run = run_of_checkpoint(options.checkpoint, read_checkpoint(options.checkpoint))
    recipe, data = options_as(RecipeOptions, options), options_as(DataOptions, options)
    config = build_prediction_config(recipe, data, options.split)
    annotations = Path(config.test_dataloader.dataset.ann_file)
    _check_masks(config, options)
    out = _choose_output(options)
    boxes, notice, source = None, '', {**_describe_source(config, options, annotations), 'run': run}
    if options.boxes:
        boxes, notice = _check_boxes(config, options, annotations)
        source['boxes'] = _describe_boxes(options.boxes)
    _set_output(config, source, out, limited=not options.boxes)
    config.work_dir = str(out.resolve().parent)
    config.load_from = str(options.checkpoint)
    set_inference_mode(config, options.tta, options.tiles, boxes)
    join_processes()
    config.launcher = launcher_of_this_process()
    with plain_worker_errors():
        runner = Runner.from_cfg(config)
        if notice:
            runner.logger.warning(notice)
        runner.test()
    return out


def _check_masks(config: Config, options: Namespace) -> None:
    """Refuses to draw masks with a detector that has no mask heads.

    Raises:
        UsageError: Boxes are given to it.
    """
    if options.boxes and config.get('boxes_only', False):
        raise UsageError(
            f'{display_path(options.config)} finds boxes and draws no masks; give --boxes to a Mask R-CNN, Cascade or '
            'HTC'
        )


def _choose_output(options: Namespace) -> Path:
    """Path of the predictions file.

    Raises:
        UsageError: It has another suffix than such files have, or is the file of boxes itself.
    """
    # A name of its own: the model's own predictions may be among what was fused to these boxes.
    name = f'predictions_{options.split}_boxes.npz' if options.boxes else f'predictions_{options.split}.npz'
    out = check_suffix(options.out or options.checkpoint.resolve().parent / name)
    if options.boxes and out.resolve() == options.boxes.resolve():
        raise UsageError(f'--out {display_path(out)} is the file of --boxes; choose another name')
    return out


def _check_boxes(config: Config, options: Namespace, annotations: Path) -> tuple[dict[str, Any], str]:
    """Whether given boxes go with the images that are predicted.

    Returns:
        The arguments of :class:`LoadBoxPrompts`, and one sentence about the images for which there is no box, if any.

    Raises:
        InputError: The file is broken, or names an image that is not predicted or has another size.
    """
    init_default_scope(config.get('default_scope', 'mmdet'))
    dataset = DATASETS.build(dict(config.test_dataloader.dataset, pipeline=[]))
    arguments = dict(
        path=str(options.boxes.resolve()), annotations=str(annotations), classes=list(dataset.metainfo['classes'])
    )
    boxes, name = read_box_prompts(**arguments), display_path(options.boxes)
    infos = [dataset.get_data_info(index) for index in range(len(dataset))]
    sizes = {info['img_id']: (info['height'], info['width']) for info in infos}
    unknown = [image_id for image_id in boxes.image_ids if image_id not in sizes]
    if unknown:
        more = f' (and {len(unknown) - 1} more)' if len(unknown) > 1 else ''
        raise InputError(
            f'{name}: image {unknown[0]}{more} is not among the {len(sizes)} images of --split {options.split}; '
            'predict the split that the boxes were found in'
        )
    filled = set()
    for image in boxes.images:
        (height, width), (true_height, true_width) = image.size, sizes[image.image_id]
        if (height, width) != (true_height, true_width):
            raise InputError(
                f'{name}: image {image.image_id} is {width}x{height} px, in the data it is {true_width}x{true_height}; '
                'find the boxes in the same files'
            )
        if len(image):
            filled.add(image.image_id)
    without = [image_id for image_id in sizes if image_id not in filled]
    more = f' and {len(without) - 3} more' if len(without) > 3 else ''
    notice = (
        f'{name} has no boxes for {len(without)} of {len(sizes)} images, which get no cells: '
        f'{", ".join(without[:3])}{more}'
    )
    return arguments, notice if without else ''


def _set_output(config: Config, source: dict[str, Any], out: Path, limited: bool) -> None:
    config.test_evaluator = dict(
        type='DumpPredictions',
        out=str(out.resolve()),
        source=source,
        max_cells=box_limits(config).max_per_img if limited else None,
        classes=list(classes_of(config.test_dataloader.dataset)),
    )


def _describe_boxes(path: Path) -> dict[str, Any]:
    """File and hash of given boxes, and what found them: predictions files say it, COCO JSON does not."""
    predicted_by = dict(read_header(path).source) if path.suffix == SUFFIX else None
    return {'file': display_path(path), 'sha256': sha256_of(path), 'source': predicted_by}


def _describe_source(config: Config, options: Namespace, annotations: Path) -> dict[str, Any]:
    trained = config.train_dataloader.dataset
    source = {
        'kind': 'model',
        'config': display_path(options.config),
        'checkpoint': display_path(options.checkpoint),
        'checkpoint_sha256': sha256_of(options.checkpoint),
        'split': options.split,
        'annotations': display_path(annotations),
        'annotations_sha256': sha256_of(annotations),
        'tta': bool(options.tta),
        'boxes_only': bool(config.get('boxes_only', False)),
        # Types that the model was trained on alone; specialists fusion goes by them.
        'cell_types': trained.get('dataset', trained).get('filter_cfg', {}).get('cell_types'),
        'processes': dist.get_world_size(),
        'versions': package_versions(),
    }
    if options.tta:
        source['tta_orientations'] = read_orientations(config)
        source['tta_scales'] = [scale if isinstance(scale, float) else list(scale) for scale in read_scales(config)]
    if options.tiles:
        tiles = read_tiles(config)
        source['tiles'] = {**tiles, 'size': list(tiles['size'])}
    return source
