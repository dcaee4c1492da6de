"""The whole workflow on synthetic images: what `make demo` runs. Every step is a command line that a user can type."""

import shlex
import shutil
import subprocess
import sys
import time
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sartorius.utils.cli import make_parser, run_tool
from sartorius.utils.errors import InputError
from sartorius.utils.paths import DEFAULT_POSTPROCESS, REPO_ROOT, WORK_DIRS, display_path

# Its name is how a later demo knows what it may replace.
LOG = 'sartorius-demo.log'
MODELS = {'mrcnn_r50': 'Mask R-CNN', 'cmrcnn_r50': 'Cascade Mask R-CNN'}
FUSED = 'both, fused by WBF'


def main(argv: Sequence[str] | None = None) -> None:
    """Parses the command line and walks the workflow."""
    parser = make_parser(
        'Make synthetic images, train two small models on them, predict, tune, fuse, submit and score.',
        'python tools/demo.py --iterations 250',
    )
    parser.add_argument(
        '--out', type=Path, default=WORK_DIRS / 'demo', help='folder to write; its contents are replaced'
    )
    parser.add_argument('--images', type=int, default=45, help='training images')
    parser.add_argument('--test-images', type=int, default=9, help='test images')
    parser.add_argument('--iterations', type=int, default=250, help='training iterations of each model')
    parser.add_argument('--seed', type=int, default=0, help='seed of images and training')
    options = parser.parse_args(argv)
    options.out = options.out.resolve()
    started = time.monotonic()
    _clear(options.out)
    workflow = Workflow(options.out)
    for number, step in enumerate(steps := _steps(options, workflow), start=1):
        _run(f'[{number}/{len(steps)}] {step.title}', step.words, workflow.out / LOG)
    _show_results(workflow)
    print(f'\nThe demo took {(time.monotonic() - started) / 60:.1f} minutes.')


@dataclass(frozen=True)
class Workflow:
    """Where each step of the workflow leaves its results, below one folder."""

    out: Path

    @property
    def data(self) -> Path:
        """Images and CSVs in the competition's layout."""
        return self.out / 'data'

    @property
    def annotations(self) -> Path:
        """Folds in COCO JSON."""
        return self.out / 'annotations'

    @property
    def submission(self) -> Path:
        """The CSV to hand in."""
        return self.out / 'submission.csv'

    def predictions(self, model: str, split: str) -> Path:
        """Predictions file of a model, or of the fused ones (``fused``)."""
        return self.out / model / f'predictions_{split}.npz'

    def postprocess(self, model: str) -> Path:
        """The chain, tuned on the held-out fold."""
        return self.out / model / 'postprocess.json'


@dataclass(frozen=True)
class Step:
    """One command of the workflow."""

    title: str
    words: list[str]


def _steps(options: Namespace, workflow: Workflow) -> list[Step]:
    data = ['--data-root', str(workflow.data), '--annotations', str(workflow.annotations)]
    steps = [
        Step(
            'making synthetic images',
            [
                'data/make_synthetic.py',
                '--out',
                str(workflow.data),
                '--images',
                str(options.images),
                '--size',
                '352x260',
            ]
            + ['--test-images', str(options.test_images), '--unlabelled-images', '0', '--seed', str(options.seed)],
        ),
        Step(
            'preparing annotations and folds',
            ['prepare_sartorius.py', '--data-root', str(workflow.data), '--out', str(workflow.annotations)],
        ),
    ]
    for model, name in MODELS.items():
        config = f'configs/sartorius/{model}.py'
        checkpoint = str(workflow.out / model / f'iter_{options.iterations}.pth')
        steps.append(
            Step(
                f'training {name}',
                ['train.py', config, '--small', '--from-scratch', *data, '--work-dir', str(workflow.out / model)]
                + ['--iterations', str(options.iterations), '--seed', str(options.seed)],
            )
        )
        for split in ('val', 'test'):
            out = str(workflow.predictions(model, split))
            words = ['test.py', config, checkpoint, '--split', split, '--tta', *data, '--out', out]
            steps.append(Step(f'predicting with {name}, two views an image ({split} images)', words))
    for split in ('val', 'test'):
        members = [str(workflow.predictions(model, split)) for model in MODELS]
        words = ['ensemble.py', *members, '--method', 'wbf', '--out', str(workflow.predictions('fused', split))]
        steps.append(Step(f'fusing both models ({split} images)', words))
    held_out = str(workflow.annotations / 'fold0_val.json')
    for model in (*MODELS, 'fused'):
        words = ['tune.py', str(workflow.predictions(model, 'val')), '--annotations', held_out]
        steps.append(
            Step(f'tuning thresholds on the held-out fold ({model})', [*words, '--out', str(workflow.out / model)])
        )
    submit = ['make_submission.py', str(workflow.predictions('fused', 'test'))]
    submit += ['--postprocess', str(workflow.postprocess('fused'))]
    return [
        *steps,
        Step('writing the submission', [*submit, '--out', str(workflow.submission)]),
        Step(
            'checking the submission',
            ['check_submission.py', str(workflow.submission), '--sample', str(workflow.data / 'sample_submission.csv')]
            + ['--size', '352x260'],
        ),
        Step(
            'scoring the submission',
            ['score_submission.py', str(workflow.submission), str(workflow.data / 'test_truth.csv')],
        ),
    ]


def _run(title: str, words: list[str], log: Path) -> None:
    """Runs one tool, its output going to the log; shows the command and how long it took.

    Raises:
        InputError: The tool failed; the message holds the end of its output.
    """
    words = ['python', f'tools/{words[0]}', *(_shorten(word) for word in words[1:])]
    print(f'\n{title}\n  $ {shlex.join(words)}', flush=True)
    started = time.monotonic()
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open('a+', encoding='utf-8') as file:
        file.write(f'\n$ {shlex.join(words)}\n')
        file.flush()
        begin = file.tell()
        # Standard error stays on the terminal for the progress bars.
        errors = None if sys.stderr.isatty() else subprocess.STDOUT
        code = subprocess.run([sys.executable, *words[1:]], cwd=REPO_ROOT, stdout=file, stderr=errors).returncode
        file.seek(begin)
        tail = file.read().strip().splitlines()[-12:]
    if code:
        raise InputError(f'{words[1]} ended with code {code}; its last lines:\n' + '\n'.join(tail))
    if words[1] == 'tools/score_submission.py':
        print('\n'.join(tail))
    print(f'  done in {time.monotonic() - started:.0f} s', flush=True)


def _shorten(word: str) -> str:
    path = Path(word)
    return str(path.relative_to(REPO_ROOT)) if path.is_relative_to(REPO_ROOT) else word


def _show_results(workflow: Workflow) -> None:
    """Scores every stage on the test images, prints the table and writes the page."""
    from sartorius.annotations.reading import load_annotations
    from sartorius.evaluation.baseline import threshold_and_components
    from sartorius.evaluation.metric import score_images
    from sartorius.images.reading import read_for_display
    from sartorius.postprocess.chain import load_chain, postprocess_all
    from sartorius.predictions.store import load_predictions
    from sartorius.visualization.demo import Stage, write_demo_page
    from sartorius.visualization.gallery import Example

    gt = load_annotations(workflow.data / 'test_truth.csv')
    images = {image_id: read_for_display(workflow.data / 'test' / f'{image_id}.png') for image_id in gt}
    found = {
        'threshold and connected components': {key: threshold_and_components(image) for key, image in images.items()}
    }
    for model, name in {**MODELS, 'fused': FUSED}.items():
        predictions = load_predictions(workflow.predictions(model, 'test'))
        for kind, chain in {'default thresholds': DEFAULT_POSTPROCESS, 'tuned': workflow.postprocess(model)}.items():
            cells = postprocess_all(predictions, load_chain(chain))
            found[f'{name}, {kind}'] = {key: image.crops for key, image in cells.items()}
    scores = {name: score_images(gt, cells) for name, cells in found.items()}

    print('\nCompetition mAP on the test images, which no step has learnt from:')
    for name, table in scores.items():
        types = '  '.join(f'{kind} {rows.score.mean():.3f}' for kind, rows in table.groupby('cell_type'))
        print(f'  {table.score.mean():.3f}  {name:<42} {types}')
    baseline, last = list(scores)[0], scores[f'{FUSED}, tuned'].set_index('image_id')
    final = postprocess_all(
        load_predictions(workflow.predictions('fused', 'test')), load_chain(workflow.postprocess('fused'))
    )
    stages = [Stage(name, float(table.score.mean()), is_baseline=name == baseline) for name, table in scores.items()]
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
    page = write_demo_page(workflow.out / 'index.html', stages, examples)
    print(f'\nImages, truth and predictions side by side: {display_path(page)}')


def _clear(out: Path) -> None:
    """Removes an earlier demo; refuses to remove anything else.

    Raises:
        InputError: The folder holds something that no demo left there.
    """
    if not out.exists():
        return
    if any(out.iterdir()) and not (out / LOG).is_file():
        raise InputError(f'{display_path(out)}: is not empty and no earlier demo; choose another --out')
    shutil.rmtree(out)


if __name__ == '__main__':
    run_tool(main)
