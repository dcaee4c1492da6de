"""Several pieces under one row: specks beside a cell, and cells in parts."""

from collections.abc import Iterator
from functools import partial

from sartorius.labels.defects.base import Defect, with_crop
from sartorius.labels.rules import Rules
from sartorius.labels.structures import Finding, LabelledImage
from sartorius.masks.pieces import drop_fragments, join_pieces, largest_piece, piece_areas


def _find(image: LabelledImage, rules: Rules, specks: bool) -> Iterator[Finding]:
    for label in image.labels:
        first, *others = piece_areas(label.crop)
        chosen = [area for area in others if (area < rules.speck_fraction * first) == specks]
        if not chosen:
            continue
        if specks:
            mended = drop_fragments(label.crop, rules.speck_fraction, 0)
            remark = f'{len(chosen)} of {sum(chosen):,} px beside {first:,} px'
        else:
            mended = largest_piece(join_pieces(label.crop, rules.piece_gap))
            remark = 'pieces of ' + ', '.join(f'{area:,}' for area in (first, *chosen)) + ' px'
        yield Finding(image.image_id, (SPECK if specks else PIECES).name, label, with_crop(label, mended), remark)


SPECK = Defect('speck', 'small pieces beside the cell', 'drops them', partial(_find, specks=True))
PIECES = Defect(
    'pieces',
    'several large pieces under one row',
    'joins them over a narrow gap, else keeps the largest',
    partial(_find, specks=False),
)
