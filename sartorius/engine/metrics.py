"""Metrics of MMEngine that score predictions or write them to a file: thin wrappers around the core layer."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmdet.registry import METRICS
from mmengine.dist import get_world_size
from mmengine.evaluator import BaseMetric
from mmengine.logging import MMLogger

from sartorius.annotations.reading import load_annotations, load_cell_types
from sartorius.evaluation.coco_ap import score_boxes
from sartorius.evaluation.metric import score_images
from sartorius.models.outputs import max_cells, to_image_predictions
from sartorius.predictions.provenance import ModelSource, source_from_dict
from sartorius.predictions.store import save_predictions
from sartorius.predictions.structures import ImagePredictions, PredictionSet
from sartorius.predictions.timing import write_timing
from sartorius.utils.errors import InputError
from sartorius.utils.files import file_set, sha256_of
from sartorius.utils.paths import display_path


@METRICS.register_module()
class CompetitionMetric(BaseMetric):
    """Computes the competition mAP of the post-processed cells that :class:`PostprocessHook` attached.

    MMEngine gathers the samples of all processes, so every process reports the score of the whole set. Reports
    ``competition/mAP`` and one figure per cell type.

    Args:
        ann_file: COCO JSON or competition CSV with the ground truth.
        max_cells: The model's limit on cells per image; images that reach it are named in a warning.
        classes: Class names in the order of the labels, those of ``ann_file`` if None;
            :func:`sartorius.engine.run_config.build_train_config` sets those of the data set.
        cell_types: Only images of these are scored; all if None. Set as ``classes``.
    """

    default_prefix = 'competition'

    def __init__(
        self,
        ann_file: str,
        max_cells: int | None = None,
        classes: Sequence[str] | None = None,
        cell_types: Sequence[str] | None = None,
    ) -> None:
        super().__init__()
        self.gt = load_annotations(Path(ann_file), classes)
        if cell_types is not None:
            types = load_cell_types(ann_file)
            self.gt = self.gt.select(name for name in self.gt if types[name] in cell_types)
        self.max_cells = max_cells

    def process(self, data_batch: Any, data_samples: Sequence[dict[str, Any]]) -> None:
        """Keeps the disjoint masks of a batch.

        Raises:
            InputError: The config lacks ``PostprocessHook``.
        """
        for sample in data_samples:
            if 'cells' not in sample:
                raise InputError("no post-processed cells: put dict(type='PostprocessHook') into custom_hooks")
            cells: ImagePredictions = sample['cells']
            self.results.append((cells.image_id, cells.crops, max_cells(sample)))

    def compute_metrics(self, results: list[tuple[str, Any, int]]) -> dict[str, float]:
        """Mean over images; plain floats, since checkpoints keep the best one."""
        _warn_of_limit({image_id: count for image_id, _, count in results}, self.max_cells)
        table = score_images(self.gt, {image_id: crops for image_id, crops, _ in results})
        scores = {'mAP': float(table['score'].mean())}
        for cell_type, rows in table.groupby('cell_type'):
            scores[str(cell_type)] = float(rows['score'].mean())
        return scores


@METRICS.register_module()
class BoxMetric(CompetitionMetric):
    """Computes the average precision of boxes, for detectors without masks and so without a competition mAP.

    The arguments are those of :class:`CompetitionMetric`. Reports ``boxes/AP``, ``boxes/AP50``, ``boxes/AP75`` and one
    figure per class (:func:`sartorius.evaluation.coco_ap.score_boxes`); all predicted boxes count.
    """

    default_prefix = 'boxes'

    def process(self, data_batch: Any, data_samples: Sequence[dict[str, Any]]) -> None:
        """Keeps the boxes of a batch."""
        for sample in data_samples:
            self.results.append((to_image_predictions(sample), max_cells(sample)))

    def compute_metrics(self, results: list[tuple[ImagePredictions, int]]) -> dict[str, float]:
        """Scores of all images together; plain floats, since checkpoints keep the best one."""
        _warn_of_limit({image.image_id: count for image, count in results}, self.max_cells)
        return score_boxes(self.gt, {image.image_id: image for image, _ in results})


@METRICS.register_module()
class DumpPredictions(BaseMetric):
    """Writes predictions, before any post-processing, to one predictions file.

    Beside it goes how long it took (:mod:`sartorius.predictions.timing`): wall time from reading to soft masks, divided
    by the images of all processes; the first batch, in which kernels are compiled, does not count. Nothing is written
    where there was no other.

    Args:
        out: Path of the predictions file.
        classes: Class names in the order of the labels.
        source: A :class:`sartorius.predictions.provenance.ModelSource` as plain JSON types.
        max_cells: The model's limit on cells per image; images that reach it are named in a warning.
    """

    def __init__(
        self,
        out: str,
        classes: Sequence[str],
        source: dict[str, Any] | None = None,
        max_cells: int | None = None,
    ) -> None:
        super().__init__()
        self.out = Path(out)
        self.source = dict(source or {'kind': ModelSource.KIND})
        self.max_cells = max_cells
        self.classes = tuple(classes)
        # Times at which the first and the last batch were done, and the number of images in between.
        self.first_done, self.last_done, self.timed_images = None, 0.0, 0

    def process(self, data_batch: Any, data_samples: Sequence[dict[str, Any]]) -> None:
        """Keeps boxes, scores, labels and soft masks of a batch."""
        for sample in data_samples:
            self.results.append((to_image_predictions(sample), max_cells(sample), sample.get('cut_cells', 0)))
        self.last_done = time.perf_counter()
        if self.first_done is None:
            self.first_done = self.last_done
        else:
            self.timed_images += len(data_samples)

    def compute_metrics(self, results: list[tuple[ImagePredictions, int, int]]) -> dict[str, float]:
        """Writes the file; reports the number of its images and cells."""
        _warn_of_limit({image.image_id: count for image, count, _ in results}, self.max_cells)
        _warn_of_cuts({image.image_id: cut for image, _, cut in results if cut})
        images = tuple(image for image, _, _ in results)
        with file_set() as files:
            save_predictions(self.out, PredictionSet(images, self.classes, source_from_dict(self.source, 'source')))
            if self.timed_images:
                seconds = (self.last_done - self.first_done) / (self.timed_images * get_world_size())
                write_timing(self.out, sha256_of(files.staged(self.out)), round(seconds, 4))
        MMLogger.get_current_instance().info(f'wrote {display_path(self.out)}')
        return {'images': float(len(images)), 'cells': float(sum(map(len, images)))}


def _warn_of_limit(counts: Mapping[str, int], limit: int | None) -> None:
    """Warns in one line of images whose number of cells reaches the model's limit."""
    full = [image_id for image_id, count in counts.items() if limit is not None and count >= limit]
    if full:
        more = f' and {len(full) - 3} more' if len(full) > 3 else ''
        MMLogger.get_current_instance().warning(
            f'{len(full)} of {len(counts)} images reach the limit of {limit} cells and may hold more: '
            f'{", ".join(full[:3])}{more}; raise max_per_img in model.test_cfg'
        )


def _warn_of_cuts(counts: Mapping[str, int]) -> None:
    """Warns in one line of images with cells that no tile contains whole."""
    if counts:
        more = f' and {len(counts) - 3} more' if len(counts) > 3 else ''
        MMLogger.get_current_instance().warning(
            f'{sum(counts.values())} cells are cut at the border of a tile, in {", ".join(list(counts)[:3])}{more}; '
            'raise tiles.overlap to the length of the largest cell'
        )
