"""Prediction of one split of the data to a predictions file, as tools/test.py runs it."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from mmdet.registry import DATASETS
from mmengine import dist
from mmengine.config import Config
from mmengine.registry import init_default_scope

from sartorius.annotations.info import read_info
from sartorius.engine.config import innermost
from sartorius.engine.launch import join_processes, launcher_of_this_process, plain_worker_errors
from sartorius.engine.run_config import DataOptions, RecipeOptions, build_prediction_config
from sartorius.engine.run_record import package_versions, run_of_checkpoint
from sartorius.inference.box_prompts import read_box_prompts
from sartorius.inference.inference_config import BoxPromptOptions, InferenceOptions, describe_inference
from sartorius.inference.predictor import Predictor
from sartorius.models.checkpoints import read_checkpoint
from sartorius.models.outputs import box_limits
from sartorius.predictions.provenance import BoxSource, ModelSource, RunRecord
from sartorius.predictions.store import SUFFIX, check_suffix, read_header
from sartorius.utils.errors import InputError, UsageError
from sartorius.utils.files import sha256_of
from sartorius.utils.paths import display_path
from sartorius.utils.version import git_commit

Split = Literal['test', 'val', 'train', 'unlabelled']


@dataclass(frozen=True)
class PredictionOptions:
    """What is predicted, with which weights, and how.

    Attributes:
        checkpoint: Weights of the config's model.
        split: Images to predict.
        tta: Whether with test-time augmentation.
        tiles: Whether in overlapping tiles.
        boxes: File of boxes whose masks are predicted; None predicts boxes and masks.
        out: Predictions file; beside the checkpoint if None.
    """

    checkpoint: Path
    split: Split = 'test'
    tta: bool = False
    tiles: bool = False
    boxes: Path | None = None
    out: Path | None = None


def predict_split(recipe: RecipeOptions, data: DataOptions, options: PredictionOptions) -> Path:
    """Predicts one split of the data and writes the predictions file.

    Args:
        recipe: Config that the model was trained with.
        data: Where the images are; the fold of ``val`` and ``train``.
        options: Checkpoint, split and inference mode.

    Returns:
        Path of the predictions file.

    Raises:
        UsageError: The predictions file cannot have the name that was asked for, or boxes are given to a model without
            mask heads.
        InputError: Data, checkpoint or boxes are missing, broken or do not go together.
    """
    run = run_of_checkpoint(options.checkpoint, read_checkpoint(options.checkpoint))
    if run is not None and run.small:
        recipe = replace(recipe, small=True)
    config = build_prediction_config(recipe, data, options.split)
    if options.boxes and config.get('boxes_only', False):
        raise UsageError(
            f'{display_path(recipe.config)} predicts boxes without masks; give --boxes to a Mask R-CNN, Cascade or HTC'
        )
    out = _choose_output(options)
    prompts, notice = _check_boxes(config, options) if options.boxes else (None, '')
    inference = InferenceOptions(options.tta, options.tiles, prompts)
    predictor = Predictor(config, options.checkpoint, inference)
    join_processes()
    source = {
        **_describe_source(config, recipe, options, run).to_dict(),
        **describe_inference(config, inference),
    }
    evaluator = dict(
        type='DumpPredictions',
        out=str(out.resolve()),
        source=source,
        max_cells=None if options.boxes else box_limits(config).max_per_img,
        classes=list(predictor.classes),
    )
    with plain_worker_errors():
        predictor.predict_dataset(evaluator, out.resolve().parent, launcher_of_this_process(), notice)
    return out


def _choose_output(options: PredictionOptions) -> Path:
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


def _check_boxes(config: Config, options: PredictionOptions) -> tuple[BoxPromptOptions, str]:
    """Checks given boxes against the images that are predicted.

    Returns:
        The boxes, and one sentence about the images for which there is no box, if any.

    Raises:
        InputError: The file is broken, or names an image that is not predicted or has another size.
    """
    init_default_scope(config.get('default_scope', 'mmdet'))
    dataset = DATASETS.build(dict(config.test_dataloader.dataset, pipeline=[]))
    annotations = config.test_dataloader.dataset.ann_file
    prompts = BoxPromptOptions(str(options.boxes.resolve()), annotations, tuple(dataset.metainfo['classes']))
    boxes, name = read_box_prompts(prompts.path, prompts.annotations, prompts.classes), display_path(options.boxes)
    infos = [dataset.get_data_info(index) for index in range(len(dataset))]
    sizes = {info['img_id']: (info['height'], info['width']) for info in infos}
    unknown = [image_id for image_id in boxes.image_ids if image_id not in sizes]
    if unknown:
        more = f' (and {len(unknown) - 1} more)' if len(unknown) > 1 else ''
        raise InputError(
            f'{name}: image {unknown[0]}{more} is not among the {len(sizes)} images of --split {options.split}; '
            'predict the split that the boxes were predicted for'
        )
    filled = set()
    for image in boxes.images:
        (height, width), (data_height, data_width) = image.size, sizes[image.image_id]
        if (height, width) != (data_height, data_width):
            raise InputError(
                f'{name}: image {image.image_id} is {width}x{height} px, in the data it is {data_width}x{data_height}; '
                'predict the boxes from the same files'
            )
        if len(image):
            filled.add(image.image_id)
    without = [image_id for image_id in sizes if image_id not in filled]
    more = f' and {len(without) - 3} more' if len(without) > 3 else ''
    notice = (
        f'{name} has no boxes for {len(without)} of {len(sizes)} images, which get no cells: '
        f'{", ".join(without[:3])}{more}'
    )
    return prompts, notice if without else ''


def _describe_boxes(path: Path) -> BoxSource:
    """File, hash and source of given boxes; COCO results name no source."""
    predicted_by = read_header(path).source if path.suffix == SUFFIX else None
    return BoxSource(file=display_path(path), sha256=sha256_of(path), source=predicted_by)


def _describe_source(
    config: Config, recipe: RecipeOptions, options: PredictionOptions, run: RunRecord | None
) -> ModelSource:
    """Where the predictions come from, but for orientations, scales and tiles."""
    trained, annotations = config.train_dataloader.dataset, config.test_dataloader.dataset.ann_file
    # Types that the model was trained on alone; fusion of specialists uses them.
    cell_types = innermost(trained).get('filter_cfg', {}).get('cell_types')
    return ModelSource(
        config=display_path(recipe.config),
        checkpoint=display_path(options.checkpoint),
        checkpoint_sha256=sha256_of(options.checkpoint),
        git_commit=git_commit(),
        split=options.split,
        annotations=display_path(annotations),
        annotations_sha256=sha256_of(annotations),
        fold=read_info(annotations).fold,
        boxes=_describe_boxes(options.boxes) if options.boxes else None,
        boxes_only=bool(config.get('boxes_only', False)),
        cell_types=tuple(cell_types or ()),
        processes=dist.get_world_size(),
        versions=package_versions(),
        run=run,
    )
