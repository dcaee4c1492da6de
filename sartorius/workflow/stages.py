"""The stages of a workflow and the plan that holds them, in memory and on disk."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from sartorius.utils.errors import InputError
from sartorius.utils.files import write_text
from sartorius.utils.input_text import read_json
from sartorius.utils.paths import BASE_DIR, display_path

# Kinds of stages in the order of the workflow, in words. Each is a rule of the Snakefile.
TITLES = {
    'prepare': 'preparing annotations and folds',
    'train': 'training',
    'boxes': 'fusing boxes',
    'predict': 'predicting',
    'fuse': 'fusing',
    'join': 'joining the folds',
    'tune': 'tuning',
    'submit': 'writing the submission',
    'check': 'checking the submission',
    'pseudo': 'making pseudo-labels',
    'results': 'writing the results',
    'merge': 'merging the batches',
    'publish': 'publishing the model',
}
KINDS = tuple(TITLES)
ON_DEVICE = ('train', 'predict')


@dataclass(frozen=True)
class Stage:
    """One command line of the workflow.

    Attributes:
        kind: One of :data:`KINDS`.
        name: Place in the workflow, such as ``fold0/mrcnn_r50/val``; unique within the kind.
        words: The tool and its options, with absolute paths.
        inputs: Files of other stages that it reads.
        outputs: Files that it writes.
        facts: What else decides the outcome: hashes of configs and data.
        amount: Iterations of a training or images of a prediction, in words; empty for other kinds.
        work_dir: Folder of a training, which is resumed there; None for other kinds.
    """

    kind: str
    name: str
    words: tuple[str, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    facts: Mapping[str, Any] = field(default_factory=dict)
    amount: str = ''
    work_dir: str | None = None

    @property
    def key(self) -> str:
        """Unique name in the plan, and place of its record and log."""
        return f'{self.kind}/{self.name}'

    @property
    def title(self) -> str:
        """Kind and name, in words."""
        return f'{TITLES[self.kind]} ({self.name})'

    @property
    def on_device(self) -> bool:
        """Whether it uses a GPU, where there is one."""
        return self.kind in ON_DEVICE


@dataclass(frozen=True)
class WorkflowPlan:
    """All stages of a workflow.

    Attributes:
        out: Folder that the workflow writes to.
        data_root: The competition's folder.
        stages: By key, each after those that it needs.
        jobs: Stages that run at once.
        devices: GPUs to assign, as ``CUDA_VISIBLE_DEVICES`` names them; None leaves the choice to a cluster.
        threads: Threads of each stage on the CPU; None leaves them as they are.
        base: Folder that the stages start in, where relative paths of configs start.
    """

    out: Path
    data_root: Path
    stages: Mapping[str, Stage]
    jobs: int = 1
    devices: tuple[str, ...] | None = None
    threads: int | None = None
    base: Path = BASE_DIR

    def needs(self, stage: Stage) -> list[Stage]:
        """Stages whose outputs a stage reads."""
        wanted = set(stage.inputs)
        return [other for other in self.stages.values() if wanted & set(other.outputs)]

    def record(self, stage: Stage) -> Path:
        """File of the stage's :class:`sartorius.workflow.records.StageRecord`."""
        return self.out / 'stages' / f'{stage.key}.json'

    def record_before(self, stage: Stage) -> Path:
        """File of the record before that one."""
        return self.record(stage).with_suffix('.before.json')

    def stamp(self, stage: Stage) -> Path:
        """Empty file that marks the stage as done for Snakemake."""
        return self.out / 'stages' / f'{stage.key}.done'

    def log(self, stage: Stage) -> Path:
        """File with the output of the stage's runs."""
        return self.out / 'logs' / f'{stage.key}.log'

    def __iter__(self) -> Iterator[Stage]:
        return iter(self.stages.values())


def save_plan(plan: WorkflowPlan) -> Path:
    """Writes the plan into the workflow's folder, where Snakemake and the stages read it; returns its path."""
    path = plan.out / 'workflow.json'
    content = {
        'out': str(plan.out),
        'data_root': str(plan.data_root),
        'jobs': plan.jobs,
        'devices': plan.devices,
        'threads': plan.threads,
        'base': str(plan.base),
        'stages': [asdict(stage) for stage in plan],
    }
    write_text(path, json.dumps(content, indent=1) + '\n')
    return path


def load_plan(path: str | Path) -> WorkflowPlan:
    """Reads a plan that :func:`save_plan` wrote.

    Raises:
        InputError: It is none.
    """
    content = read_json(path)
    try:
        stages = [_read_stage(entry) for entry in content['stages']]
        return WorkflowPlan(
            out=Path(content['out']),
            data_root=Path(content['data_root']),
            stages={stage.key: stage for stage in stages},
            jobs=content['jobs'],
            devices=None if content['devices'] is None else tuple(content['devices']),
            threads=content['threads'],
            base=Path(content['base']),
        )
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        reason = ' '.join(str(error).split())
        raise InputError(
            f'{display_path(path)}: no plan of a workflow ({type(error).__name__}: {reason}); tools/workflow.py writes '
            'it anew'
        ) from None


def _read_stage(entry: dict[str, Any]) -> Stage:
    lists = {name: tuple(entry[name]) for name in ('words', 'inputs', 'outputs')}
    stage = Stage(**{**entry, **lists})
    texts = [stage.kind, stage.name, stage.amount, *stage.words, *stage.inputs, *stage.outputs]
    if not all(isinstance(text, str) for text in texts) or not isinstance(stage.facts, dict):
        raise ValueError(f'a stage has {entry!r}'[:200])
    return stage
