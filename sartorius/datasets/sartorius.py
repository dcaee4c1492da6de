"""Cell images annotated in COCO JSON, as tools/prepare_sartorius.py writes it."""

import logging
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmdet.datasets.base_det_dataset import BaseDetDataset
from mmdet.registry import DATASETS
from mmengine.logging import print_log

from sartorius.annotations.coco import CocoReader
from sartorius.annotations.structures import CocoCell
from sartorius.images.image_ids import path_below
from sartorius.utils.classes import CELL_TYPES, LIVECELL_LINES
from sartorius.utils.errors import InputError, did_you_mean


@DATASETS.register_module()
class SartoriusDataset(BaseDetDataset):
    """Images of cells from a COCO JSON; the classes are the competition's unless the config sets others.

    MMDetection's ``CocoDataset`` numbers the classes in the order of the JSON's categories and drops, without a word,
    what it does not understand. Here classes are matched by name, a JSON that does not fit is an error, and what is
    dropped or ignored is logged (:class:`sartorius.annotations.coco.CocoReader`).

    Each sample has ``img_id`` (file name without suffix), ``img_path``, ``height``, ``width``, ``cell_type`` (see
    :meth:`sartorius.annotations.coco_index.CocoIndex.cell_types`) and ``instances``: dicts of ``bbox`` (x1, y1, x2, y2
    in pixels, tight to the mask), ``bbox_label``, ``mask`` (COCO RLE) and ``ignore_flag`` (1 for a crowd region).

    ``filter_cfg`` may have ``filter_empty_gt`` (drop images without cells; in training only) and ``cell_types`` (names;
    drop images of all others, in validation too).
    """

    MADE_BY = 'tools/prepare_sartorius.py'

    METAINFO = {
        'classes': CELL_TYPES,
        'palette': [(230, 159, 0), (86, 180, 233), (0, 158, 115)],
    }

    def load_data_list(self) -> list[dict[str, Any]]:
        """Reads ``ann_file``.

        Raises:
            InputError: The file is missing, or as iterating over :class:`sartorius.annotations.coco.CocoReader`.
        """
        path, root = Path(self.ann_file), Path(self.data_root or '')
        if not path.is_file():
            raise InputError(f'{path}: no such annotation file; {self.MADE_BY} makes it')
        reader = CocoReader(path, self.metainfo['classes'], annotated=not self.test_mode)
        samples = [
            {
                'img_id': image.image_id,
                'img_path': str(path_below(root, image.file_name)),
                'height': image.size[0],
                'width': image.size[1],
                'cell_type': image.details['cell_type'],
                'instances': [_instance(cell) for cell in image.cells],
            }
            for image, _ in reader
        ]
        for sentence in reader.notes():
            print_log(sentence, logger='current', level=logging.WARNING)
        return samples

    def filter_data(self) -> list[dict[str, Any]]:
        """Images that ``filter_cfg`` keeps.

        Raises:
            InputError: An unknown cell type, or no image of those wanted.
        """
        wanted = self.filter_cfg or {}
        samples = self.data_list
        if wanted.get('cell_types') is not None:
            samples = self._of_cell_types(wanted['cell_types'])
        if wanted.get('filter_empty_gt', False) and not self.test_mode:
            samples = [
                sample for sample in samples if any(not instance['ignore_flag'] for instance in sample['instances'])
            ]
        return samples

    def prepare_data(self, idx: int) -> Any:
        """Loads and augments an image.

        In training, the pipeline finds a weak reference to the data set itself under ``dataset``, so that a transform
        can take cells from other images of the same fold.
        """
        if self.test_mode:
            return super().prepare_data(idx)
        # Weak, so that transforms that copy a sample do not copy all annotations along.
        results = self.pipeline({**self.get_data_info(idx), 'dataset': weakref.ref(self)})
        if isinstance(results, dict):
            results.pop('dataset', None)
        return results

    def _of_cell_types(self, cell_types: list[str]) -> list[dict[str, Any]]:
        for name in cell_types:
            if name not in self.metainfo['classes']:
                raise InputError(
                    f'filter_cfg: unknown cell type {name!r}{did_you_mean(str(name), self.metainfo["classes"])}'
                )
        samples = [sample for sample in self.data_list if sample['cell_type'] in cell_types]
        if not samples:
            present = sorted({sample['cell_type'] for sample in self.data_list} - {''})
            raise InputError(
                f'{self.ann_file}: none of its {len(self.data_list)} images shows {" or ".join(cell_types)}, only '
                f'{", ".join(present) or "unknown types"}; choose another fold, or train on all types'
            )
        return samples


@DATASETS.register_module()
class LIVECellDataset(SartoriusDataset):
    """LIVECell's cells by their eight cell lines, as tools/data/prepare_livecell.py writes them."""

    METAINFO = {
        'classes': LIVECELL_LINES,
        'palette': [
            (0, 0, 0),
            (230, 159, 0),
            (86, 180, 233),
            (0, 158, 115),
            (240, 228, 66),
            (0, 114, 178),
            (213, 94, 0),
            (204, 121, 167),
        ],
    }
    MADE_BY = 'tools/data/prepare_livecell.py'


@DATASETS.register_module()
class OwnDataset(SartoriusDataset):
    """Own images, as tools/data/prepare_images.py writes them; a config takes their classes from the data
    (:mod:`sartorius.engine.data_fit`)."""

    METAINFO = {'classes': ('cell',), 'palette': [(230, 159, 0)]}
    MADE_BY = 'tools/data/prepare_images.py'


def classes_of(dataset: Mapping[str, Any]) -> tuple[str, ...]:
    """Class names of a data set's config, in the order of the labels: its own, or those of its type."""
    own = dataset.get('metainfo', {}).get('classes')
    return tuple(own or DATASETS.get(dataset['type']).METAINFO['classes'])


def _instance(cell: CocoCell) -> dict[str, Any]:
    x, y, width, height = cell.bbox
    return {
        'bbox': [x, y, x + width, y + height],
        'bbox_label': cell.label,
        'mask': cell.segmentation,
        'ignore_flag': int(cell.iscrowd),
    }
