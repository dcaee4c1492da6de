"""Check of a model's limits and class counts against the data."""

from collections.abc import Iterator, Mapping
from typing import Any

from mmengine.config import Config

from sartorius.engine.config import innermost
from sartorius.engine.config_check.data import SplitBoxes, max_in_window
from sartorius.engine.config_check.report import ERROR, OK, WARNING, Report
from sartorius.engine.config_check.shown_sizes import shown_sizes
from sartorius.models.outputs import box_limits

TOPIC = 'limits'
# A detector proposes a cell several times; with fewer candidates than twice the cells, some are not proposed.
PROPOSALS_PER_CELL = 2


def max_training_cells(config: Config, split: SplitBoxes) -> int:
    """Maximum number of cells in a training sample: those of the densest window at the smallest scale."""
    pipeline = innermost(config.train_dataloader['dataset'])['pipeline']
    maximum, counts = 0, split.counts
    # Images in falling order: one with fewer cells in all than the densest window so far cannot exceed it.
    for image in counts.argsort()[::-1]:
        if counts[image] <= maximum:
            break
        size = tuple(int(length) for length in split.sizes[image])
        window = shown_sizes(pipeline, size)[0].window
        maximum = max(maximum, max_in_window(split.boxes[split.images == image], size, window))
    return maximum


def check_limits(config: Config, train: SplitBoxes, val: SplitBoxes | None, report: Report) -> None:
    """Compares classes, proposals, instances and samplers of a model with the data.

    Args:
        config: The whole config.
        train: Training cells.
        val: Validation cells; None where the config has none.
        report: Gets the messages.
    """
    before = len(report.messages)
    _check_classes(config.model, train, report)
    splits = [split for split in (train, val) if split is not None and len(split.boxes)]
    if not splits:
        report.add(ERROR, TOPIC, 'the training images have no cell; look at the annotation file and at filter_cfg')
        return
    fullest = max(splits, key=lambda split: int(split.counts.max()))
    whole, visible = int(fullest.counts.max()), max_training_cells(config, train)
    name = fullest.names[fullest.fullest]
    _check_instances(config, whole, name, report)
    _check_proposals(config.model, whole, visible, name, report)
    _check_samplers(config, train, report)
    if len(report.messages) == before:
        report.add(
            OK,
            TOPIC,
            f'{len(train.names):,} images with {len(train.boxes):,} cells to train on; at most {whole:,} cells per '
            f'image ({name}), {visible:,} per training sample; classes {", ".join(train.classes)}',
        )


def _check_classes(model: Mapping[str, Any], train: SplitBoxes, report: Report) -> None:
    for path, count in _settings(model, 'num_classes', 'model'):
        # An RPN has one class: a cell or none.
        if count != len(train.classes) and '.rpn_head.' not in path:
            report.add(
                ERROR,
                TOPIC,
                f'{path} is {count}, the data set has {len(train.classes)} classes: {", ".join(train.classes)}',
            )


def _check_instances(config: Config, cells: int, name: str, report: Report) -> None:
    limits = box_limits(config)
    limit = limits.get('max_per_img')
    if limit is not None and 0 <= limit < cells:
        path = 'model.test_cfg' if limits is config.model.test_cfg else 'model.test_cfg.rcnn'
        report.add(
            ERROR,
            TOPIC,
            f'{path}.max_per_img is {limit}, and {name} has {cells} cells, which can never all be predicted; raise it '
            f'above {cells}',
        )


def _check_proposals(model: Mapping[str, Any], whole: int, visible: int, name: str, report: Report) -> None:
    train, test = model.get('train_cfg') or {}, model.get('test_cfg') or {}
    stages = [
        ('model.train_cfg.rpn_proposal', train.get('rpn_proposal') or {}, visible, 'a training sample can have'),
        ('model.test_cfg.rpn', test.get('rpn') or {}, whole, f'{name} has'),
    ]
    for path, settings, cells, what in stages:
        for key in ('nms_pre', 'max_per_img'):
            limit = settings.get(key)
            if limit is not None and 0 < limit < PROPOSALS_PER_CELL * cells:
                report.add(
                    WARNING,
                    TOPIC,
                    f'{path}.{key} is {limit}, and {what} {cells} cells; give at least {PROPOSALS_PER_CELL * cells}',
                )


def _check_samplers(config: Config, train: SplitBoxes, report: Report) -> None:
    """Warns of RoI samplers that draw fewer positives than a sample has cells: the others teach nothing."""
    stages = (config.model.get('train_cfg') or {}).get('rcnn') or []
    stages = [stages] if isinstance(stages, Mapping) else stages
    samplers = [stage.get('sampler') or {} for stage in stages]
    positives = min((int(each.get('num', 0) * each.get('pos_fraction', 0)) for each in samplers), default=0)
    shown = _usual_cells(config, train)
    if 0 < positives < shown:
        report.add(
            WARNING,
            TOPIC,
            f'model.train_cfg.rcnn: the sampler draws {positives} positives (num x pos_fraction), and {shown} cells '
            'are in the usual training sample of the fullest image; the rest of them teach nothing in that step',
        )


def _usual_cells(config: Config, split: SplitBoxes) -> int:
    """Cells in a training sample of the fullest image, at the middle scale, if they were spread evenly."""
    pipeline = innermost(config.train_dataloader['dataset'])['pipeline']
    height, width = (int(length) for length in split.sizes[split.fullest])
    window = shown_sizes(pipeline, (height, width))[1].window
    share = min(1.0, window[0] / height) * min(1.0, window[1] / width)
    return round(int(split.counts.max()) * share)


def _settings(node: Any, key: str, path: str) -> Iterator[tuple[str, Any]]:
    """Every value of a key below a node, with its dotted path."""
    if isinstance(node, Mapping):
        for name, value in node.items():
            if name == key:
                yield f'{path}.{name}', value
            yield from _settings(value, key, f'{path}.{name}')
    elif isinstance(node, list | tuple):
        for number, item in enumerate(node):
            yield from _settings(item, key, f'{path}.{number}')
