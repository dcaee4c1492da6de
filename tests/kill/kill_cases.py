"""Every tool that writes, and how it is tried: an earlier run, the run that is killed, and who reads what it writes.

In a command line ``{out}`` is the folder that is watched, and the names of :mod:`kill_material` are its files.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

REPO_ROOT = Path(__file__).resolve().parents[2]
GROUPS = ('', 'data', 'analysis')
WRITE_NOTHING = frozenset({'check_submission', 'check_config', 'print_config'})
"""Tools without a case; every other one must have one."""

EVERYTHING = ('**',)
# What tells of a run and is no result: half of it is no harm.
LOGS = ('*/TIME/*', 'TIME/*', 'mrcnn_r50.py', 'logs/**', 'stages/**', 'workflow.json', '.snakemake/*')
# One process, and no workers.
LIGHT = (
    'train_dataloader.batch_size=1', 'train_dataloader.num_workers=0', 'train_dataloader.persistent_workers=False',
    'test_dataloader.num_workers=0', 'test_dataloader.persistent_workers=False',
    'val_dataloader.num_workers=0', 'val_dataloader.persistent_workers=False',
    'model.test_cfg.rcnn.max_per_img=30', 'model.test_cfg.rcnn.score_thr=0.0', 'default_hooks.checkpoint.interval=1',
)  # fmt: skip
TRAIN = (
    'mrcnn_r50 --small --data-root {data} --annotations {folds} --from-scratch --no-validation --seed 0 '
    f'--cfg-options {" ".join(LIGHT)} --work-dir {{out}}'
)


TEST = (
    'mrcnn_r50 {{run}}/iter_{0}.pth --small --data-root {{data}} --annotations {{folds}} --out {{out}}/test.npz '
    f'--cfg-options {" ".join(LIGHT)}'
)
LIVECELL = '--out {out}/data --form livecell --test-images 2 --val-images 2 --size 176x130'
PSEUDO = ' --all-data {unlabelled} --postprocess {chain} --rules {rules} --out {out}/train.csv'
EXPORT = ' --images {data}/test --postprocess {chain} --format masks rois table geojson overlay coco seg --out {out}'
PREDICT = '{data}/test --model {model} --format masks rois table predictions overlay --out {out} --device cpu'
REPORT = (
    ' --images {data}/train --annotations {folds}/fold0_val.json --postprocess {chain} --errors {out}/errors.csv '
    '--out {out}'
)


def _never(_: Path) -> str:
    return ''


@dataclass(frozen=True)
class Case:
    """A tool's command line, tried at its kill points.

    Attributes:
        tool: File below tools/, without suffix.
        new: Words of the run that is killed, and typed again afterwards.
        old: Words of an earlier run, whose outputs stand in the folder; empty if the folder is only tried empty.
        name: Name of the case, where a tool has several; the tool's if empty.
        reader: Words of :mod:`read_outputs`, which reads the outputs as the project does.
        apart: Patterns of files that stand each for itself; all others belong together.
        again: More words when it is typed again, by the state of the folder.
        most: Number of kill points that are tried at most, of those of each state of the folder; 0 for all.
        material: More files of :mod:`kill_material` that it reads.
        needs_old: Whether the new run is only tried over the earlier one.
        refuses_done: Whether the tool refuses to run again once all is there.
        passing: Patterns of files that the run writes more than once.
        loose: Patterns of results that tell of the run: how long it took, whether it was resumed.
        quotes_log: Whether its error quotes the log of a process that it started.
    """

    tool: str
    new: str
    old: str = ''
    name: str = ''
    reader: str = 'tree {out}'
    apart: tuple[str, ...] = ()
    again: Callable[[Path], str] = _never
    most: int = 0
    material: str = ''
    needs_old: bool = False
    refuses_done: bool = False
    passing: tuple[str, ...] = ()
    loose: tuple[str, ...] = ()
    quotes_log: bool = False

    @property
    def title(self) -> str:
        """Name of the case in tables and on the command line."""
        return self.name or self.tool.split('/')[-1]

    @property
    def file(self) -> Path:
        """The tool's file."""
        return REPO_ROOT / 'tools' / f'{self.tool}.py'


def _resume(out: Path) -> str:
    return '--resume' if any(out.glob('iter_*.pth')) else ''


CASES = (
    Case(
        'data/make_synthetic',
        '--out {out}/data --images 4 --test-images 2 --size 176x130 --seed 2 --overwrite',
        '--out {out}/data --images 5 --test-images 2 --size 176x130 --seed 1',
        reader='annotations {out}/data/train.csv',
    ),
    Case(
        'data/make_synthetic',
        LIVECELL + ' --images 4 --seed 2 --overwrite',
        LIVECELL + ' --images 5 --seed 1',
        name='make_livecell',
    ),
    Case(
        'data/download_sartorius',
        # The archive is what the stand-in for the kaggle client brings.
        '--out {out}/data',
        material='{archive}',
        reader='annotations {out}/data/train.csv',
        refuses_done=True,
    ),
    Case(
        'prepare_sartorius',
        '--data-root {data} --folds 2 --seed 1 --out {out}',
        '--data-root {data} --folds 3 --out {out}',
        reader='folds {out} {data}',
    ),
    Case(
        'data/prepare_images',
        '{data}/train --labels {folds}/all.json --folds 2 --seed 1 --out {out}',
        '{data}/train --labels {folds}/all.json --folds 3 --out {out}',
        reader='folds {out} {data}',
    ),
    Case(
        'data/prepare_livecell',
        '--data-root {livecell} --min-area 60 --keep-incomplete --out {out}',
        '--data-root {livecell} --keep-incomplete --out {out}',
        reader='splits {out}',
    ),
    Case(
        'data/clean_masks',
        '{data}/train.csv --fix all --out {out}/train.csv --report {out}/report',
        '{data}/train.csv --fix hollow --out {out}/train.csv --report {out}/report',
        reader='edits {out}/train.csv',
    ),
    Case(
        'data/clean_masks',
        '{cleaned}/train.csv --undo {cleaned}/train_edits.csv --only double --out {out}/train.csv --log {out}/log.csv',
        '{cleaned}/train.csv --undo {cleaned}/train_edits.csv --out {out}/train.csv --log {out}/log.csv',
        name='undo_masks',
        reader='edits {out}/train.csv {out}/log.csv',
    ),
    Case(
        'train',
        TRAIN + ' --iterations 2',
        apart=EVERYTHING,
        again=_resume,
        reader='run {out}',
        most=12,
    ),
    Case(
        'train',
        TRAIN + ' --iterations 4 --resume',
        TRAIN + ' --iterations 2',
        name='train_resume',
        needs_old=True,
        apart=EVERYTHING,
        passing=('iter_*.pth', 'last_checkpoint'),
        reader='run {out}',
        most=8,
    ),
    Case('test', TEST.format('2'), TEST.format('1'), reader='predictions {out}/test.npz'),
    Case(
        'ensemble',
        '{val} {val2} --method wbf --score 0 --out {out}/fused.npz',
        '{val} {val2} --method nms --score 0 --out {out}/fused.npz',
        reader='predictions {out}/fused.npz',
    ),
    Case(
        'data/concat_predictions',
        '{val} {test} --out {out}/all.npz',
        '{val2} {test} --out {out}/all.npz',
        reader='predictions {out}/all.npz',
    ),
    Case(
        'tune',
        '{val} --annotations {folds}/fold0_val.json --folds 2 --out {out}',
        '{val2} --annotations {folds}/fold0_val.json --folds 2 --out {out}',
        reader='chain {out}/postprocess.json',
    ),
    Case(
        'make_submission',
        '{test} --postprocess {chain} --out {out}/submission.csv',
        '{test} --out {out}/submission.csv',
    ),
    Case(
        'score_submission',
        '{submission} {data}/test_gt.csv --per-image {out}/scores.csv',
        '{submission2} {data}/test_gt.csv --per-image {out}/scores.csv',
    ),
    Case(
        'data/pseudo_label',
        '--train-csv {data}/train.csv' + PSEUDO,
        '--train-csv {data2}/train.csv' + PSEUDO,
        reader='pseudo {out}/train.csv',
    ),
    Case(
        'export',
        '{test}' + EXPORT,
        '{test2}' + EXPORT,
        apart=EVERYTHING,
    ),
    Case('publish_model', '{run} --name cells --half --out {out}', '{run2} --name cells --half --out {out}'),
    Case(
        'predict',
        PREDICT + ' --min-score 0.3',
        PREDICT + ' --min-score 0.2',
        apart=EVERYTHING,
        most=60,
    ),
    Case(
        'predict',
        '{data}/test --model {model} --batch 1/2 --format masks table predictions --out {out} --device cpu',
        name='predict_batch',
        apart=EVERYTHING,
        most=20,
    ),
    Case(
        'predict',
        '{data}/test --model {model} --jobs 2 --format masks table --out {out} --device cpu',
        name='predict_jobs',
        apart=EVERYTHING,
        most=3,
    ),
    Case(
        'analysis/ablation',
        '{val} --others {val2} --annotations {folds}/fold0_val.json --folds 2 --out {out}',
        '{val2} --others {val} --annotations {folds}/fold0_val.json --folds 2 --out {out}',
        most=8,
    ),
    Case(
        'analysis/browse_dataset',
        'mrcnn_r50 --small --data-root {data} --annotations {folds} --samples 2 --repeats 1 --seed 1 --out {out}',
        'mrcnn_r50 --small --data-root {data} --annotations {folds} --samples 3 --repeats 1 --seed 0 --out {out}',
    ),
    Case(
        'analysis/data_report',
        '{data}/train.csv --max-examples 1 --out {out}',
        '{data2}/train.csv --max-examples 1 --out {out}',
    ),
    Case(
        'analysis/leaderboard',
        '{val} {val2} --annotations {folds}/fold0_val.json --out {out}/results.md',
        '{val2} --annotations {folds}/fold0_val.json --out {out}/results.md',
    ),
    Case(
        'analysis/missing_cells',
        '{val} {val2} --annotations {folds}/fold0_val.json --images {data}/train --min-score 0 --out {out}',
        '{val2} --annotations {folds}/fold0_val.json --images {data}/train --min-score 0 --out {out}',
    ),
    Case('analysis/model_card', '{run}/iter_2.pth --out {out}/CARD.md', '{run2}/iter_2.pth --out {out}/CARD.md'),
    Case(
        'analysis/report',
        '{val}' + REPORT,
        '{val2}' + REPORT,
    ),
    Case(
        'workflow',
        '{workflow} --data-root {data} --out {out}',
        apart=EVERYTHING,
        most=3,
        passing=('*/iter_*.pth', '*/last_checkpoint'),
        # The tuned chain names the hash of the predictions, these the checkpoint's, this one the commands.
        loose=('results.md', '*/predictions_*.npz', 'tune/postprocess.json'),
        quotes_log=True,
    ),
    Case('demo', '--images 8 --test-images 2 --iterations 2 --out {out}', apart=EVERYTHING, most=2, quotes_log=True),
)


def tools_without_case() -> list[str]:
    """Tools below tools/ that have no case and are not known to write nothing."""
    stems = [path for group in GROUPS for path in (REPO_ROOT / 'tools' / group).glob('*.py')]
    known = {case.file for case in CASES}
    return sorted(path.stem for path in stems if path not in known and path.stem not in WRITE_NOTHING)
