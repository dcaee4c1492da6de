"""A stage of a workflow, and the plan that holds them all, in memory and on disk."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from sartorius.utils.files import write_text

# In the order of the workflow.
KINDS = ('prepare', 'train', 'boxes', 'predict', 'fuse', 'join', 'tune', 'submit', 'check', 'pseudo', 'results')
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
}
ON_DEVICE = ('train', 'predict')


@dataclass(frozen=True)
class Stage:
    """One command line of the workflow.

    Attributes:
        kind: One of :data:`KINDS`.
        name: Its place in the workflow, such as ``fold0/mrcnn_r50/val``; unique within the kind.
        words: The tool and its options, with absolute paths.
        inputs: Files of other stages that it reads.
        outputs: Files that it writes.
        facts: What else decides the outcome: hashes of configs and data.
        recipe: Name of the recipe's config; empty where there is none.
        amount: What its time grows with: iterations of a training, images of a prediction; None for other kinds.
        work_dir: Folder of a training, which is resumed there.
    """

    kind: str
    name: str
    words: tuple[str, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    facts: Mapping[str, Any] = field(default_factory=dict)
    recipe: str = ''
    amount: int | None = None
    work_dir: str | None = None

    @property
    def key(self) -> str:
        """Unique name in the plan, and place of its record and log."""
        return f'{self.kind}/{self.name}'

    @property
    def title(self) -> str:
        """What it does, in a few words."""
        return f'{TITLES[self.kind]} ({self.name})'

    @property
    def on_device(self) -> bool:
        """Whether it takes a GPU, where there is one."""
        return self.kind in ON_DEVICE


@dataclass(frozen=True)
class Plan:
    """All stages of a workflow.

    Attributes:
        out: Folder that the workflow writes to.
        data_root: The competition's folder.
        stages: By key, each after those that it needs.
        devices: GPUs to hand out, as ``CUDA_VISIBLE_DEVICES`` names them; None leaves the choice to a cluster.
        threads: Threads of each stage on the CPU; None leaves them as they are.
    """

    out: Path
    data_root: Path
    stages: Mapping[str, Stage]
    devices: tuple[str, ...] | None = None
    threads: int | None = None

    def needs(self, stage: Stage) -> list[Stage]:
        """The stages whose outputs it reads."""
        wanted = set(stage.inputs)
        return [other for other in self.stages.values() if wanted & set(other.outputs)]

    def record(self, stage: Stage) -> Path:
        """What is known of the stage: see :mod:`sartorius.workflow.records`."""
        return self.out / 'stages' / f'{stage.key}.json'

    def stamp(self, stage: Stage) -> Path:
        """Empty file that tells Snakemake that the stage is done."""
        return self.out / 'stages' / f'{stage.key}.done'

    def log(self, stage: Stage) -> Path:
        """Output of its last run."""
        return self.out / 'logs' / f'{stage.key}.log'

    def __iter__(self) -> Iterator[Stage]:
        return iter(self.stages.values())


def save_plan(plan: Plan) -> Path:
    """Writes the plan into the workflow's folder, for Snakemake and the stages to read; returns its path."""
    path = plan.out / 'workflow.json'
    content = {
        'out': str(plan.out),
        'data_root': str(plan.data_root),
        'devices': plan.devices,
        'threads': plan.threads,
        'stages': [asdict(stage) for stage in plan],
    }
    write_text(path, json.dumps(content, indent=1) + '\n')
    return path


def load_plan(path: str | Path) -> Plan:
    """Reads what :func:`save_plan` wrote."""
    content = json.loads(Path(path).read_text(encoding='utf-8'))
    stages = []
    for entry in content['stages']:
        lists = {name: tuple(entry[name]) for name in ('words', 'inputs', 'outputs')}
        stages.append(Stage(**{**entry, **lists}))
    return Plan(
        out=Path(content['out']),
        data_root=Path(content['data_root']),
        stages={stage.key: stage for stage in stages},
        devices=None if content['devices'] is None else tuple(content['devices']),
        threads=content['threads'],
    )
