"""What tools/test.py does."""

import importlib.metadata
from argparse import Namespace
from pathlib import Path
from typing import Any

from mmengine import dist
from mmengine.config import Config, ConfigDict
from mmengine.runner import Runner

from sartorius.engine.config import adapt_to_machine, load_config, parse_options, set_data, set_split
from sartorius.engine.launch import join_processes, launcher_of_this_process, plain_worker_errors, read_checkpoint
from sartorius.utils.files import sha256_of
from sartorius.utils.paths import display_path


def predict_split(options: Namespace) -> Path:
    """Predicts one split of the data and writes the predictions file.

    Args:
        options: The parsed options of tools/test.py.

    Returns:
        Path of the predictions file.

    Raises:
        InputError: Data or checkpoint are missing or broken.
    """
    config = load_config(options.config, parse_options(options.cfg_options))
    read_checkpoint(options.checkpoint)
    set_data(config, options.data_root, options.annotations, options.fold)
    annotations = set_split(config, options.split, options.fold)
    out = Path(options.out or options.checkpoint.resolve().parent / f'predictions_{options.split}.npz')
    _set_output(config, options, annotations, out)
    config.work_dir = str(out.resolve().parent)
    config.load_from = str(options.checkpoint)
    if options.tta:
        use_tta(config)
    adapt_to_machine(config)
    join_processes()
    config.launcher = launcher_of_this_process()
    with plain_worker_errors():
        Runner.from_cfg(config).test()
    return out


def use_tta(config: Config) -> None:
    """Wraps the model and multiplies the test pipeline by the config's ``tta_views`` and ``tta_scales``.

    The pipeline's ``Resize`` gives its place to one resize a scale, its last step (``PackDetInputs``) keeps the name of
    the view.
    """
    pipeline = config.test_dataloader.dataset.pipeline
    resize = next(index for index, step in enumerate(pipeline) if step.type == 'Resize')
    pack = dict(pipeline[-1], meta_keys=(*pipeline[-1]['meta_keys'], 'tta_view'))
    views = [dict(type='TurnView', view=view) for view in config.tta_views]
    scales = [dict(pipeline[resize], scale=scale) for scale in config.tta_scales]
    config.test_dataloader.dataset.pipeline = [
        *pipeline[:resize],
        dict(type='TestTimeAug', transforms=[views, scales, [pack]]),
    ]
    config.model = ConfigDict(**config.tta_model, module=config.model)


def _set_output(config: Config, options: Namespace, annotations: Path, out: Path) -> None:
    dataset_classes = config.test_dataloader.dataset.get('metainfo', {}).get('classes')
    classes = {'classes': dataset_classes} if dataset_classes else {}
    config.test_evaluator = dict(
        type='DumpPredictions',
        out=str(out.resolve()),
        source=_describe_source(options, annotations),
        max_cells=config.model.test_cfg.rcnn.max_per_img,
        **classes,
    )


def _describe_source(options: Namespace, annotations: Path) -> dict[str, Any]:
    packages = ('torch', 'onedl-mmcv', 'onedl-mmdetection', 'sartorius-cells')
    return {
        'kind': 'model',
        'config': display_path(options.config),
        'checkpoint': display_path(options.checkpoint),
        'checkpoint_sha256': sha256_of(options.checkpoint),
        'split': options.split,
        'annotations': display_path(annotations),
        'annotations_sha256': sha256_of(annotations),
        'tta': bool(options.tta),
        'processes': dist.get_world_size(),
        'versions': {name: importlib.metadata.version(name) for name in packages},
    }
