"""Plates, wells and times of synthetic images: the four columns of ``train.csv`` beyond the masks."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

IMAGES_PER_WELL = 2
_PLATES = {
    'shsy5y': ('shsy5y[diff]',),
    'astro': ('astros[cereb]', 'astro[hippo]'),
    'cort': ('cort[density]', 'cort[debris]', 'cort[oka-low]', 'cort[oka-high]', 'cort[pre-treat]', 'cort[6-OHDA]'),
}
_WELL_ROWS, _WELL_COLUMNS = 'ABCDEFGH', 12
_FIRST_DATE = date(2019, 6, 16)


@dataclass(frozen=True)
class Acquisition:
    """One image's origin.

    Attributes:
        image_id: 12 hexadecimal digits.
        cell_type: One of the competition's types.
        well: Number of the well among those of the cell type, over all parts of the data set.
        sample_id: For example ``shsy5y[diff]_E10-4_Vessel-714_Ph_3``: plate, well and site, vessel, phase channel.
        sample_date: For example ``2019-06-16``.
        elapsed: Time since the plate was put into the instrument.
    """

    image_id: str
    cell_type: str
    well: int
    sample_id: str
    sample_date: str
    elapsed: timedelta

    @property
    def plate_time(self) -> str:
        """For example ``11h30m00s``."""
        hours, minutes = divmod(int(self.elapsed.total_seconds()) // 60, 60)
        return f'{hours:02d}h{minutes:02d}m00s'

    @property
    def elapsed_timedelta(self) -> str:
        """For example ``0 days 11:30:00``, as pandas writes it."""
        hours, minutes = divmod(self.elapsed.seconds // 60, 60)
        return f'{self.elapsed.days} days {hours:02d}:{minutes:02d}:00'

    @property
    def described_name(self) -> str:
        """File stem that tells the origin, as the competition's unlabelled images have it."""
        hours, minutes = divmod(self.elapsed.seconds // 60, 60)
        return f'{self.sample_id}_{self.elapsed.days:02d}d{hours:02d}h{minutes:02d}m'


def plan_acquisitions(
    cell_types: Sequence[str], counts: Sequence[int], seed: int
) -> tuple[tuple[Acquisition, ...], ...]:
    """Origins of the images of each part of a data set.

    The cell types alternate. Every two images of a type share a well: of one site at two times, so that they share
    the ``sample_id`` too, or of two sites at one time. No well belongs to two parts.

    Args:
        cell_types: The types to use.
        counts: Images of each part.
        seed: Goes into the image ids.
    """
    next_well = dict.fromkeys(cell_types, 0)
    parts = []
    for part, count in enumerate(counts):
        first_well = dict(next_well)
        images = []
        for index in range(count):
            cell_type = cell_types[index % len(cell_types)]
            within = index // len(cell_types)
            well = first_well[cell_type] + within // IMAGES_PER_WELL
            next_well[cell_type] = well + 1
            images.append(_acquisition(f'{seed}/{part}/{index}', cell_type, well, within % IMAGES_PER_WELL))
        parts.append(tuple(images))
    return tuple(parts)


def _acquisition(key: str, cell_type: str, well: int, repeat: int) -> Acquisition:
    plate = _PLATES[cell_type][well % len(_PLATES[cell_type])]
    vessel, place = divmod(well, len(_WELL_ROWS) * _WELL_COLUMNS)
    name = f'{_WELL_ROWS[place % len(_WELL_ROWS)]}{1 + place // len(_WELL_ROWS)}'
    same_site = well % 2 == 0
    site = 1 if same_site else 1 + repeat
    hours = 4.0 * (well % 7) + (11.5 * repeat if same_site else 0)
    return Acquisition(
        image_id=hashlib.sha256(key.encode()).hexdigest()[:12],
        cell_type=cell_type,
        well=well,
        sample_id=f'{plate}_{name}-{site}_Vessel-{301 + vessel}_Ph_1',
        sample_date=str(_FIRST_DATE + timedelta(days=well % 90)),
        elapsed=timedelta(hours=hours),
    )
