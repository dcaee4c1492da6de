"""What is computed or kept of the predictions of a run: thin wrappers around the lower floor."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmdet.registry import METRICS
from mmengine.evaluator import BaseMetric
from mmengine.logging import MMLogger

from sartorius.annotations.reading import load_annotations
from sartorius.evaluation.metric import score_images
from sartorius.models.convert import to_image_predictions
from sartorius.predictions.store import save_predictions
from sartorius.predictions.structures import ImagePredictions, PredictionSet
from sartorius.utils.classes import CELL_TYPES
from sartorius.utils.errors import InputError
from sartorius.utils.paths import display_path


@METRICS.register_module()
class CompetitionMetric(BaseMetric):
    """Competition mAP of the post-processed cells that :class:`PostprocessHook` attached.

    MMEngine gathers the samples of all processes, so every process reports the score of the whole set. Reports
    ``competition/mAP`` and one figure a cell type.

    Args:
        ann_file: COCO JSON or competition CSV with the true cells.
    """

    default_prefix = 'competition'

    def __init__(self, ann_file: str) -> None:
        super().__init__()
        self.truth = load_annotations(Path(ann_file))

    def process(self, data_batch: Any, data_samples: Sequence[dict[str, Any]]) -> None:
        """Keeps the disjoint masks of a batch.

        Raises:
            InputError: The config lacks ``PostprocessHook``.
        """
        for sample in data_samples:
            if 'cells' not in sample:
                raise InputError("no post-processed cells: put dict(type='PostprocessHook') into custom_hooks")
            cells: ImagePredictions = sample['cells']
            self.results.append((cells.image_id, cells.crops))

    def compute_metrics(self, results: list[tuple[str, Any]]) -> dict[str, float]:
        """Mean over images; plain floats, since checkpoints keep the best one."""
        table = score_images(self.truth, dict(results))
        scores = {'mAP': float(table['score'].mean())}
        for cell_type, rows in table.groupby('cell_type'):
            scores[str(cell_type)] = float(rows['score'].mean())
        return scores


@METRICS.register_module()
class DumpPredictions(BaseMetric):
    """Writes what the model said, before any post-processing, to one predictions file.

    Args:
        out: Path of the predictions file.
        source: What the file records of its origin (config, checkpoint, split, ...).
        max_cells: The model's limit on cells an image; reaching it is warned of.
        classes: Class names in the order of the labels.
    """

    def __init__(
        self,
        out: str,
        source: dict[str, Any] | None = None,
        max_cells: int | None = None,
        classes: Sequence[str] = CELL_TYPES,
    ) -> None:
        super().__init__()
        self.out = Path(out)
        self.source = dict(source or {})
        self.max_cells = max_cells
        self.classes = tuple(classes)

    def process(self, data_batch: Any, data_samples: Sequence[dict[str, Any]]) -> None:
        """Keeps boxes, scores, labels and soft masks of a batch."""
        for sample in data_samples:
            self.results.append(to_image_predictions(sample))

    def compute_metrics(self, results: list[ImagePredictions]) -> dict[str, float]:
        """Writes the file; reports how many cells it holds."""
        logger = MMLogger.get_current_instance()
        for image in results:
            if self.max_cells is not None and len(image) >= self.max_cells:
                logger.warning(
                    f'image {image.image_id}: {len(image)} cells reach the limit of the model; raise '
                    'model.test_cfg.rcnn.max_per_img'
                )
        save_predictions(self.out, PredictionSet(tuple(results), self.classes, self.source))
        logger.info(f'wrote {display_path(self.out)}')
        return {'images': float(len(results)), 'cells': float(sum(len(image) for image in results))}
