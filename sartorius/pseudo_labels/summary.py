"""Summary of a round of pseudo-labelling, as tables."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from sartorius.annotations.train_csv import TrainImage
from sartorius.postprocess.chain import Chain
from sartorius.predictions.leakage import HeldOut
from sartorius.pseudo_labels.rules import BALANCE, REASONS, Balance, PseudoRules, Verdict
from sartorius.utils.classes import class_order
from sartorius.utils.paths import display_path
from sartorius.utils.tables import markdown_table


@dataclass(frozen=True, eq=False)
class LabelledFold:
    """Verdicts on the images of one predictions file.

    Attributes:
        path: The file.
        held_out: The fold that is held out from its models; None: its labels train a model of all data.
        verdicts: One per image.
    """

    path: Path
    held_out: HeldOut | None
    verdicts: tuple[Verdict, ...]

    @property
    def name(self) -> str:
        """What its labels train, in words."""
        return 'All data' if self.held_out is None else f'Fold {self.held_out.fold}'

    @property
    def used(self) -> list[Verdict]:
        """Verdicts on the images that are used."""
        return [verdict for verdict in self.verdicts if not verdict.reason]


def summarise(
    folds: Sequence[LabelledFold],
    annotated: Sequence[TrainImage],
    round_number: int,
    chain: Chain,
    rules: PseudoRules,
    balance: Balance,
) -> str:
    """Writes the summary in Markdown: per fold the images that each rule refused, and the shares of the classes.

    Args:
        folds: One per predictions file.
        annotated: Manually annotated images.
        round_number: The round.
        chain: The post-processing.
        rules: The rules that were applied.
        balance: How the classes were balanced.
    """
    described = '; '.join(f'{name} {_describe(value)}' for name, value in asdict(rules).items())
    names = '/'.join(
        class_order({name for value in asdict(rules).values() if isinstance(value, Mapping) for name in value})
    )
    parts = [
        f'# Pseudo-labels, round {round_number}',
        f'Rules{f" ({names})" if names else ""}: {described}. Balance: {balance}.',
        f'Post-processing: `{json.dumps(chain.to_config())}`',
    ]
    for fold in folds:
        parts += [f'## {fold.name}: {display_path(fold.path)}', _verdict_table(fold), _share_table(fold, annotated)]
        parts += _warnings(fold, annotated, balance)
    return '\n\n'.join(parts)


def _describe(value: object) -> str:
    if isinstance(value, Mapping):
        return '/'.join(f'{value[name]:g}' for name in class_order(value))
    return 'as in annotated images' if value is None else f'{value:g}'


def _verdict_table(fold: LabelledFold) -> str:
    """Images of each class by verdict; without the columns of rules that refused nothing."""
    reasons = [reason for reason in REASONS if any(verdict.reason == reason for verdict in fold.verdicts)]
    names = [*class_order({one.cell_type for one in fold.verdicts} - {''}), '']
    rows = []
    for name in names:
        of_class = [verdict for verdict in fold.verdicts if verdict.cell_type == name]
        if of_class:
            rows.append(_verdict_row(name or 'no class', of_class, reasons))
    rows.append(_verdict_row('all', fold.verdicts, reasons))
    return markdown_table(['class', 'images', *reasons, 'used', 'cells'], rows)


def _verdict_row(name: str, verdicts: Sequence[Verdict], reasons: Sequence[str]) -> list[str]:
    counts = Counter(verdict.reason for verdict in verdicts)
    cells = sum(len(verdict.crops) for verdict in verdicts if not verdict.reason)
    return [name, *(f'{number:,}' for number in (len(verdicts), *(counts[one] for one in reasons), counts[''], cells))]


def _share_table(fold: LabelledFold, annotated: Sequence[TrainImage]) -> str:
    """Images and cells of each class in the CSV: manually annotated, and with this fold's pseudo-labels."""
    images, cells = Counter(image.cell_type for image in annotated), Counter[str]()
    for image in annotated:
        cells[image.cell_type] += len(image.cells)
    all_images, all_cells = Counter(images), Counter(cells)
    for verdict in fold.used:
        all_images[verdict.cell_type] += 1
        all_cells[verdict.cell_type] += len(verdict.crops)
    columns = {
        'annotated images': images,
        'with pseudo-labels': all_images,
        'annotated cells': cells,
        'with pseudo-labels ': all_cells,
    }
    rows = [
        [name, *(f'{counts[name]:,} ({counts[name] / max(counts.total(), 1):.1%})' for counts in columns.values())]
        for name in class_order(all_images)
        if all_images[name]
    ]
    return markdown_table(['class', *(name.strip() for name in columns)], rows)


def _warnings(fold: LabelledFold, annotated: Sequence[TrainImage], balance: Balance) -> list[str]:
    """What to look at before training on these labels."""
    if fold.used:
        return []
    passed = {verdict.cell_type for verdict in fold.verdicts if verdict.reason == BALANCE}
    lacking = {image.cell_type for image in annotated} - passed
    if passed and lacking and balance in ('train', 'equal'):
        names = ', '.join(class_order(lacking))
        return [
            f'**No image is used**: no image of {names} passes the rules, so that any other would upset the balance. '
            'Take looser rules (`--rules`), or limit each class by itself (`--balance 1`).'
        ]
    if passed:
        return ['**No image is used**: the balance allows none. Take a larger number (`--balance 1`).']
    return ['**No image is used**: no image passes the rules. Take looser rules (`--rules`), or better models.']
