"""Training steps and predictions on a CPU, as the tools run them, and on MMDetection's and MMCV's own code."""

import os
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from images import real_images, synthetic_image, synthetic_sample
from measure import Benchmark, Setting
from mmdet.models import BaseDetector
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.logging import MMLogger
from mmengine.optim import OptimWrapper, build_optim_wrapper
from mmengine.registry import init_default_scope
from numpy.typing import NDArray
from pipelines import Sample, build_pipeline, copies_of
from prediction import compare_codes
from training_step import compare_totals, in_mmcv_ops, in_our_ops, with_stock_parts

from sartorius.engine.mixed_precision import has_bfloat16
from sartorius.engine.run_config import RecipeOptions, TrainOptions, build_train_config
from sartorius.images.reading import read_for_display
from sartorius.inference import Predictor
from sartorius.masks.packed import PackedMasks
from sartorius.masks.packed_rle import encode_coco
from sartorius.models.cpu_ops import tune_for_cpu
from sartorius.models.model_file import find_model, load_model_file
from sartorius.postprocess.chain import Chain, build_chain
from sartorius.utils.paths import CONFIG_DIR

Codes = list[dict[str, Any]]

# Config, whether its small variant, and what a row of the table calls it.
RECIPES = (
    ('mrcnn_r18', False, 'mrcnn_r18'),
    ('cmrcnn_r18', False, 'cmrcnn_r18'),
    ('cmrcnn_r50', True, 'cmrcnn_r50 --small'),
    ('htc_r50', True, 'htc_r50 --small'),
    ('mrcnn_r50', False, 'mrcnn_r50'),
)
CROP = 256
"""Side of the full-size recipe's crops in pixels, one a step; small recipes have their own size and number."""
DENSE = 800
PEER = 'the same on MMCV operators'


def benchmarks(setting: Setting) -> list[Callable[[], Benchmark]]:
    """Steps of every recipe in float32 and in bfloat16; predictions of the package's own model."""
    recipes = RECIPES[:1] if setting.quick else RECIPES
    precisions = (False, True) if has_bfloat16() and not setting.quick else (False,)
    if not has_bfloat16():
        setting.notes.append('recipe_steps: no bfloat16, which this processor does not compute in')
    plans = [partial(training, setting, *recipe, amp) for recipe in recipes for amp in precisions]
    cells = 20 if setting.quick else DENSE
    plans.append(partial(prediction, f'{cells} synthetic', lambda: synthetic_image(cells).image))
    if setting.data_root and not setting.quick:
        first = real_images(setting.data_root)[0].cells
        path = setting.data_root / 'train' / f'{first.image_id}.png'
        plans.append(partial(prediction, f'{len(first)} real', partial(read_for_display, path)))
    return plans


def training(setting: Setting, name: str, small: bool, title: str, amp: bool) -> Benchmark:
    """Forward, backward and optimiser on one batch, which the data loader's workers would have made."""
    config, stock = (train_config(name, small, with_amp) for with_amp in (amp, False))
    # What MMDetection's users would run.
    stock.optim_wrapper.optimizer.pop('fused', None)
    batch = make_batch(setting, config)
    with_stock_parts(stock.model)
    ours, theirs = build_model(config), build_model(stock)
    theirs.load_state_dict(ours.state_dict())
    precision = 'bfloat16' if amp else 'float32'
    return Benchmark(
        name=f'recipe_steps/{name}_{precision}',
        work=f'training step of {title} in {precision}, {len(batch["inputs"])} crops of {CROP} px or less',
        peer=f'{PEER}, float32',
        ours=partial(in_our_ops, train_step, tune_for_cpu(ours), make_optimizer(ours, config)),
        theirs=partial(in_mmcv_ops, train_step, theirs, make_optimizer(theirs, stock)),
        same=compare_totals,
        goal='3x in time, memory no higher',
        fresh=copies_of(batch),
        threads=cores(),
        settle=True,
    )


def prediction(title: str, read: Callable[[], NDArray[np.uint8]]) -> Benchmark:
    """Image in memory to codes, with the model that comes with the package."""
    image, model = read(), load_model_file(find_model('cells'))
    chain = build_chain(model.postprocess).for_classes(model.classes)
    ours, theirs = Predictor.from_model(model, device='cpu'), Predictor.from_model(model, device='cpu')
    theirs.model.to(memory_format=torch.contiguous_format)
    return Benchmark(
        name=f'recipe_steps/prediction_{title.split()[1]}',
        work=f'prediction of an image of {title} cells with the model of the package, to disjoint COCO RLE',
        peer=PEER,
        ours=partial(in_our_ops, predict, ours, chain, image),
        theirs=partial(in_mmcv_ops, predict, theirs, chain, image),
        same=partial(compare_codes, image.shape[:2]),
        goal='2x in time, memory no higher',
        threads=cores(),
        settle=True,
    )


def train_config(name: str, small: bool, amp: bool) -> Config:
    recipe = RecipeOptions(CONFIG_DIR / 'sartorius' / f'{name}.py', small)
    config = build_train_config(recipe, train=TrainOptions(from_scratch=True, amp=amp))
    # At a rate of 0 every step is of the same weights.
    config.optim_wrapper.optimizer.lr = 0.0
    if config.train_dataloader.dataset.dataset.pipeline[-2].get('crop_size', (CROP,))[0] > CROP:
        config.train_dataloader.dataset.dataset.pipeline[-2].crop_size = (CROP, CROP)
        config.train_dataloader.batch_size = 1
    return config


def make_batch(setting: Setting, config: Config) -> Sample:
    np.random.seed(0)
    pipeline = build_pipeline(config.train_dataloader.dataset.dataset.pipeline)
    make = copies_of(synthetic_sample(setting, 20 if setting.quick else 400))
    return pseudo_collate([pipeline(*make()) for _ in range(config.train_dataloader.batch_size)])


def build_model(config: Config) -> BaseDetector:
    init_default_scope('mmdet')
    # MMEngine would log how each of the weights was made.
    MMLogger.get_current_instance().setLevel('WARNING')
    torch.manual_seed(0)
    model = MODELS.build(config.model)
    model.init_weights()
    return model.train()


def make_optimizer(model: BaseDetector, config: Config) -> OptimWrapper:
    return build_optim_wrapper(model, config.optim_wrapper)


def train_step(model: BaseDetector, optimizer: OptimWrapper, batch: Sample) -> dict[str, float]:
    # The samplers of anchors and proposals are random.
    torch.manual_seed(0)
    return {name: value.item() for name, value in model.train_step(batch, optimizer).items()}


@torch.no_grad()
def predict(predictor: Predictor, chain: Chain, image: NDArray[np.uint8]) -> Codes:
    cells = chain(predictor.predict_array(image)).by_score()
    counts = encode_coco(PackedMasks.from_crops(cells.crops), cells.size)
    return [{'size': list(cells.size), 'counts': code} for code in counts]


def cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count() or 1
