"""The whole workflow on made images, from nothing to a scored submission: what `make demo` runs."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sartorius.utils.cli import make_parser, run_tool
from sartorius.utils.paths import CONFIG_DIR, WORK_DIRS, display_path

if TYPE_CHECKING:
    import pandas as pd

    from sartorius.workflow.settings import WorkflowSettings

WORKFLOW = CONFIG_DIR / 'workflows' / 'demo.yaml'
SIZE = (260, 352)
TITLES = {'mrcnn_r50': 'Mask R-CNN', 'cmrcnn_r50': 'Cascade Mask R-CNN'}
BASELINE, FUSED = 'threshold and connected components', 'both, fused by WBF'
DEFAULT, TUNED = 'default thresholds', 'tuned'
# More stages at once than a GPU wait for it; on a CPU two models train faster side by side.
JOBS = 2


def main(argv: Sequence[str] | None = None) -> None:
    """Parses the command line, runs the workflow and shows the scores."""
    parser = make_parser(
        f'Make images, run {display_path(WORKFLOW)} on them (train two small models, predict, fuse, tune, submit), and '
        'score every step on a page. Stopped, it continues when the same command is typed again.',
        'python tools/demo.py --iterations 250',
    )
    parser.add_argument('--out', type=Path, default=WORK_DIRS / 'demo', help='folder to write')
    parser.add_argument('--images', type=int, default=45, help='training images')
    parser.add_argument('--test-images', type=int, default=9, help='test images')
    parser.add_argument('--iterations', type=int, help="training iterations of each model; the workflow's if not given")
    parser.add_argument('--seed', type=int, default=0, help='seed of images and training')
    options = parser.parse_args(argv)

    from sartorius.synthetic import DatasetPlan, make_dataset
    from sartorius.workflow.facts import read_data_facts, read_recipe_facts
    from sartorius.workflow.plan import make_plan
    from sartorius.workflow.runner import assign_devices, run_workflow
    from sartorius.workflow.settings import read_workflow

    started, out = time.monotonic(), options.out.resolve()
    changes = {'seed': options.seed} | ({'iterations': options.iterations} if options.iterations is not None else {})
    settings = read_workflow(WORKFLOW, **changes)
    images = DatasetPlan(options.images, options.test_images, unlabelled_images=0, size=SIZE, seed=options.seed)
    print(f'making {options.images} training and {options.test_images} test images', flush=True)
    # The same options give the same bytes, so that a workflow that was stopped finds its data unchanged.
    make_dataset(out / 'data', images, overwrite=True)
    plan = assign_devices(make_plan(settings, read_data_facts(out / 'data'), out, read_recipe_facts), JOBS)
    print(f'{len(plan.stages)} stages; the command line of each stands in its log, below {display_path(out / "logs")}')
    run_workflow(plan)
    _show_scores(settings, out)
    print(f'The demo took {(time.monotonic() - started) / 60:.1f} minutes.')


def _show_scores(settings: 'WorkflowSettings', out: Path) -> None:
    """Scores every step on the test images, prints the table and writes the page."""
    from sartorius.annotations.reading import load_annotations, load_groups
    from sartorius.evaluation.baseline import threshold_and_components
    from sartorius.evaluation.metric import score_images
    from sartorius.images.reading import read_for_display
    from sartorius.postprocess.chain import load_chain, postprocess_all
    from sartorius.postprocess.tuning.tuner import tune
    from sartorius.predictions.store import load_predictions
    from sartorius.visualization.demo import ScoredStep, write_demo_page
    from sartorius.visualization.gallery import Example

    gt_file = out / 'data' / 'test_gt.csv'
    gt, groups = load_annotations(gt_file), load_groups(gt_file)
    images = {image_id: read_for_display(out / 'data' / 'test' / f'{image_id}.png') for image_id in gt}
    held_out = out / 'annotations' / 'fold0_val.json'
    chain = load_chain()
    crops = {BASELINE: {image_id: threshold_and_components(image) for image_id, image in images.items()}}
    for name in (*(recipe.name for recipe in settings.recipes), 'fused'):
        val, test = (load_predictions(out / 'fold0' / name / f'predictions_{split}.npz') for split in ('val', 'test'))
        if name == 'fused':
            tuned = load_chain(out / 'tune' / 'postprocess.json')
        else:
            tuned = tune(val, load_annotations(held_out), chain, load_groups(held_out)).chain
        for kind, steps in {DEFAULT: chain, TUNED: tuned}.items():
            final = postprocess_all(test, steps)
            title = FUSED if name == 'fused' else TITLES.get(name, name)
            crops[f'{title}, {kind}'] = {image_id: image.crops for image_id, image in final.items()}
    scores = {name: score_images(gt, cells) for name, cells in crops.items()}

    print('\nCompetition mAP on the test images, which no step has learnt from:')
    for name, table in scores.items():
        types = '  '.join(f'{kind} {rows.score.mean():.3f}' for kind, rows in table.groupby('cell_type'))
        print(f'  {table.score.mean():.3f}  {name:<42} {types}')
    remark = _fusion_remark(scores, groups)
    print(f'\n{remark}')
    steps = [
        ScoredStep(name, float(table.score.mean()), is_baseline=name == BASELINE) for name, table in scores.items()
    ]
    last = scores[f'{FUSED}, {TUNED}'].set_index('image_id')
    examples = [
        Example(
            title=image_id,
            image=images[image_id],
            pred=final[image_id].crops,
            gt=gt[image_id].crops,
            pred_scores=final[image_id].scores,
            cell_type=last.cell_type[image_id],
            score=float(last.score[image_id]),
        )
        for image_id in sorted(gt, key=lambda key: (last.cell_type[key], -last.score[key]))
    ]
    page = write_demo_page(out / 'index.html', steps, examples, remark)
    print(f'\nsubmission: {display_path(out / "submission.csv")}')
    print(f'images with ground truth and predictions side by side: {display_path(page)}')


def _fusion_remark(scores: 'Mapping[str, pd.DataFrame]', groups: Mapping[str, str]) -> str:
    """Whether the fusion is better than the best single model, with the uncertainty of so few images."""
    from sartorius.evaluation.bootstrap import estimate, groups_of_images

    singles = {name: table for name, table in scores.items() if name.endswith(TUNED) and not name.startswith(FUSED)}
    best = max(singles, key=lambda name: singles[name].score.mean())
    difference = scores[f'{FUSED}, {TUNED}'].set_index('image_id').score - singles[best].set_index('image_id').score
    of_images = groups_of_images(difference.index, groups)
    gain = estimate(difference.to_numpy(), of_images)
    interval = f'95 % interval {gain.low:+.3f} to {gain.high:+.3f} over {len(set(of_images))} groups of images'
    if gain.mean >= 0:
        return f'Fusing scores {gain.mean:+.3f} against the best single model ({best}); {interval}.'
    return (
        f'Here fusing scores {gain.mean:+.3f} against the best single model ({best}); {interval}. It is shown because '
        'it is what a submission is made of: with models of similar strength it gains, with unequal ones it needs '
        'weights (python tools/ensemble.py --weights). Submit what is best on the held-out images.'
    )


if __name__ == '__main__':
    run_tool(main, interrupted='finished stages are kept; the same command continues')
