"""Cell images annotated in COCO JSON, as tools/prepare_sartorius.py writes it."""

import json
import weakref
from collections import defaultdict
from pathlib import Path
from typing import Any

from mmdet.datasets.base_det_dataset import BaseDetDataset
from mmdet.registry import DATASETS

from sartorius.annotations.coco import cell_types_of
from sartorius.utils.classes import CELL_TYPES, LIVECELL_LINES
from sartorius.utils.errors import InputError, did_you_mean


@DATASETS.register_module()
class SartoriusDataset(BaseDetDataset):
    """The competition's cells.

    MMDetection's ``CocoDataset`` numbers the classes in the order of the JSON's categories and drops, without a word,
    what it does not understand. Here classes go by name, and a JSON that does not fit is an error.

    Each sample has ``img_id`` (file name without suffix), ``img_path``, ``height``, ``width``, ``cell_type`` (see
    :func:`sartorius.annotations.coco.cell_types_of`) and ``instances``: dicts of ``bbox`` (x1, y1, x2, y2 in pixels),
    ``bbox_label``, ``mask`` (COCO RLE or polygons) and ``ignore_flag``.

    ``filter_cfg`` may have ``filter_empty_gt`` (leave out images without cells; in training alone) and ``cell_types``
    (names; leave out images of all others, in validation too).
    """

    MADE_BY = 'tools/prepare_sartorius.py'

    METAINFO = {
        'classes': CELL_TYPES,
        'palette': [(230, 159, 0), (86, 180, 233), (0, 158, 115)],
    }

    def load_data_list(self) -> list[dict[str, Any]]:
        """Reads ``ann_file``.

        Raises:
            InputError: The file is missing or no COCO JSON, or has a category that is not among the classes.
        """
        content = _read_json(Path(self.ann_file), self.MADE_BY)
        cell_types = cell_types_of(content)
        labels = self._labels_by_category(content['categories'])
        instances = defaultdict(list)
        for annotation in content.get('annotations', ()):
            x, y, width, height = annotation['bbox']
            instances[annotation['image_id']].append(
                {
                    'bbox': [x, y, x + width, y + height],
                    'bbox_label': labels[annotation['category_id']],
                    'mask': annotation['segmentation'],
                    'ignore_flag': int(annotation.get('iscrowd', 0)),
                }
            )
        root = Path(self.data_root or '')
        return [
            {
                'img_id': Path(image['file_name']).stem,
                'img_path': str(root / image['file_name']),
                'height': image['height'],
                'width': image['width'],
                'cell_type': cell_types[image['id']],
                'instances': instances[image['id']],
            }
            for image in content['images']
        ]

    def filter_data(self) -> list[dict[str, Any]]:
        """The images that ``filter_cfg`` leaves.

        Raises:
            InputError: An unknown cell type, or no image of those wanted.
        """
        wanted = self.filter_cfg or {}
        samples = self.data_list
        if wanted.get('cell_types') is not None:
            samples = self._of_cell_types(wanted['cell_types'])
        if wanted.get('filter_empty_gt', False) and not self.test_mode:
            samples = [sample for sample in samples if sample['instances']]
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

    def _labels_by_category(self, categories: list[dict[str, Any]]) -> dict[int, int]:
        classes = list(self.metainfo['classes'])
        unknown = [category['name'] for category in categories if category['name'] not in classes]
        if unknown:
            raise InputError(f'{self.ann_file}: unknown category {unknown[0]!r}; the classes are {", ".join(classes)}')
        return {category['id']: classes.index(category['name']) for category in categories}


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


def _read_json(path: Path, made_by: str) -> dict[str, Any]:
    if not path.is_file():
        raise InputError(f'{path}: no such annotation file; {made_by} makes it')
    try:
        content = json.loads(path.read_text(encoding='utf-8'))
    except json.JSONDecodeError as error:
        raise InputError(f'{path}: not JSON ({error}); make it anew with {made_by}') from None
    missing = [key for key in ('images', 'categories') if key not in content]
    if missing:
        raise InputError(f'{path}: not a COCO JSON, {missing[0]!r} is missing')
    return content
