"""One predictor for arrays, image files and data sets."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.dataset import Compose, pseudo_collate
from mmengine.device import get_device
from mmengine.registry import init_default_scope
from mmengine.runner.checkpoint import load_state_dict
from numpy.typing import NDArray

from sartorius.datasets.sartorius import classes_of
from sartorius.datasets.transforms.load_cell_image import LoadCellImage
from sartorius.inference.inference_config import InferenceOptions, build_inference_config
from sartorius.inference.runner import PredictionRunner
from sartorius.inference.scaling import rescale_config
from sartorius.models.checkpoints import check_weights, read_checkpoint, weights_of
from sartorius.models.cpu_ops import tune_for_cpu
from sartorius.models.model_file import ModelFile
from sartorius.models.outputs import box_limits, max_cells, to_image_predictions
from sartorius.predictions.structures import ImagePredictions
from sartorius.utils.errors import InputError
from sartorius.utils.files import errors_name
from sartorius.utils.paths import display_path, find_config
from sartorius.utils.python_files import naming_line

DEFAULT_OPTIONS = InferenceOptions()


@dataclass(frozen=True)
class PassReport:
    """What a prediction says of itself besides its cells.

    Attributes:
        limit_reached: Whether one pass over the image, or over a tile, found as many cells as the model can predict at
            once, so that there may be more.
        cut_cells: Number of cells that no tile contains whole.
    """

    limit_reached: bool
    cut_cells: int


class Predictor:
    """A trained detector that predicts arrays, image files or a data set, in one pass, with TTA, in tiles or in boxes.

    All three go through the same pipeline and the same model, so that the same pixels give the same cells. Predictions
    are as the model makes them, before post-processing. For example::

        predictor = Predictor.from_files('configs/sartorius/mrcnn_r50.py', 'work_dirs/mrcnn_r50/iter_8000.pth')
        cells = predictor.predict_array(image)
        names = [predictor.classes[label] for label in cells.labels]

    Args:
        config: Config that the detector was trained with; not changed.
        checkpoint: Its weights, as tools/train.py wrote them.
        options: How it predicts.
        device: Where arrays and files are predicted, such as ``cpu`` or ``cuda:1``; the GPU if there is one, else the
            CPU, if None. Data sets are predicted where MMEngine's runner puts the model.
        weights: What the checkpoint holds, where it has been read already.

    Attributes:
        config: The config for inference: the model around the detector, and its test pipeline.
        detector_config: The config that the detector was trained with.

    Raises:
        InputError: The config has no keys for what the options ask.
    """

    def __init__(
        self,
        config: Config,
        checkpoint: str | Path,
        options: InferenceOptions = DEFAULT_OPTIONS,
        device: str | torch.device | None = None,
        weights: Mapping[str, torch.Tensor] | None = None,
    ) -> None:
        self.config = build_inference_config(config, options)
        self.detector_config = config
        self.checkpoint = Path(checkpoint)
        self._weights = weights
        self.device = torch.device(get_device() if device is None else device)

    @classmethod
    def from_files(
        cls,
        config: str | Path,
        checkpoint: str | Path,
        options: InferenceOptions = DEFAULT_OPTIONS,
        device: str | torch.device | None = None,
    ) -> 'Predictor':
        """Reads the config from a file; otherwise as the class.

        Raises:
            InputError: No such config, or one that cannot be read.
        """
        path = find_config(config)
        with naming_line(path):
            content = Config.fromfile(str(path))
        return cls(content, checkpoint, options, device)

    @classmethod
    def from_model(
        cls,
        model: ModelFile,
        options: InferenceOptions = DEFAULT_OPTIONS,
        device: str | torch.device | None = None,
    ) -> 'Predictor':
        """A predictor of a model file, with the config that the file carries; otherwise as the class.

        Images of any size are enlarged by the file's factor, so that cells come as large to the model as in training.
        For example::

            predictor = Predictor.from_model(load_model_file(find_model('cells')))
        """
        return cls(model.config, model.path, options, device, model.state_dict)

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names in the order of the labels."""
        return classes_of(self.config.test_dataloader.dataset)

    @cached_property
    def model(self) -> torch.nn.Module:
        """The model with its weights, in evaluation mode; built when it is first used.

        Raises:
            InputError: The checkpoint cannot be read, is one of another model, or has weights that are not finite.
        """
        if 'module' not in self.config.model:
            return self._detector
        return MODELS.build(dict(self.config.model, module=self._detector)).to(self.device).eval()

    def at_scale(self, scale: float, options: InferenceOptions) -> 'Predictor':
        """The same detector, whose weights are loaded once, for images of another magnification or in another mode.

        Args:
            scale: As in :func:`sartorius.inference.scaling.rescale_config`.
            options: How it predicts.

        Raises:
            InputError: The config has no keys for what the options ask.
        """
        config = build_inference_config(rescale_config(self.detector_config, scale), options)
        # Loaded before it is shared.
        _ = self._detector
        other = copy.copy(self)
        other.config = config
        for built in ('model', '_pipeline'):
            other.__dict__.pop(built, None)
        return other

    def predict_array(self, image: NDArray[np.uint8], image_id: str = 'image') -> ImagePredictions:
        """Predicts an image in memory.

        Args:
            image: uint8 ``(H, W)``, grey, or ``(H, W, 3)``, in OpenCV's order: blue, green, red.
            image_id: Id of the predictions, and of the image in given boxes.

        Raises:
            InputError: The array is of another type or shape, or the test pipeline does not begin with
                ``LoadCellImage``, in whose place the array stands.
        """
        return self.predict_with_report(image, image_id)[0]

    def predict_with_report(
        self, image: NDArray[np.uint8], image_id: str = 'image'
    ) -> tuple[ImagePredictions, PassReport]:
        """Predicts an image in memory as :meth:`predict_array` does; the report says what may be missing."""
        _check_array(image, image_id)
        if self.config.model.type == 'TiledModel':
            # Of a large grey image, tiles alone get three channels.
            image = np.ascontiguousarray(image[:, :, None] if image.ndim == 2 else image)
        else:
            image = cv2.cvtColor(image, cv2.COLOR_GRAY2BGR) if image.ndim == 2 else np.ascontiguousarray(image)
        loading, *steps = self._pipeline.transforms
        if not isinstance(loading, LoadCellImage):
            raise InputError(
                f'the test pipeline begins with {type(loading).__name__}; arrays can only stand in for LoadCellImage'
            )
        shape = image.shape[:2]
        return self._predict(Compose(steps), dict(img=image, img_shape=shape, ori_shape=shape, img_id=image_id))

    def predict_file(self, path: str | Path, image_id: str | None = None) -> ImagePredictions:
        """Predicts an image file.

        Args:
            path: PNG, TIFF or JPEG, 8 or 16 bits, as :class:`LoadCellImage` reads it.
            image_id: As in :meth:`predict_array`; the file's name without suffix if None.

        Raises:
            InputError: The file cannot be read as such an image.
        """
        path = Path(path)
        return self._predict(self._pipeline, dict(img_path=str(path), img_id=image_id or path.stem))[0]

    def predict_dataset(
        self, evaluator: Mapping[str, Any], work_dir: str | Path, launcher: str = 'none', notice: str = ''
    ) -> dict[str, float]:
        """Predicts the config's test data set with MMEngine's test loop, shared among the processes of a launcher.

        Args:
            evaluator: Config of the metric that takes the predictions, such as ``DumpPredictions``.
            work_dir: Folder of the log.
            launcher: As of MMEngine: ``none`` or ``pytorch``.
            notice: Warning for the log, before prediction starts.

        Returns:
            What the metric reports.

        Raises:
            InputError: As :attr:`model`.
        """
        config = copy.deepcopy(self.config)
        config.test_evaluator = evaluator
        config.work_dir = str(work_dir)
        config.load_from = str(self.checkpoint)
        config.launcher = launcher
        # MMEngine's log and what is gathered of several processes lie there.
        with errors_name(work_dir):
            runner = PredictionRunner.from_cfg(config)
            tune_for_cpu(runner.model)
            detector = runner.model
            # Within the models of test-time augmentation and tiles, and of several processes.
            while isinstance(getattr(detector, 'module', None), torch.nn.Module):
                detector = detector.module
            # MMEngine would leave layers that the checkpoint lacks at random.
            check_weights(detector, self._read_weights(), display_path(self.checkpoint))
            if notice:
                runner.logger.warning(notice)
            return runner.test()

    @cached_property
    def _pipeline(self) -> Compose:
        init_default_scope(self.config.get('default_scope', 'mmdet'))
        return Compose(self.config.test_dataloader.dataset.pipeline)

    @cached_property
    def _detector(self) -> torch.nn.Module:
        init_default_scope(self.config.get('default_scope', 'mmdet'))
        detector = MODELS.build(self.detector_config.model)
        weights = self._read_weights() if self._weights is None else self._weights
        check_weights(detector, weights, display_path(self.checkpoint))
        load_state_dict(detector, weights)
        return tune_for_cpu(detector.to(self.device).eval())

    def _read_weights(self) -> Any:
        return weights_of(read_checkpoint(self.checkpoint, mapped=False))

    @torch.no_grad()
    def _predict(self, pipeline: Compose, sample: dict[str, Any]) -> tuple[ImagePredictions, PassReport]:
        (predicted,) = self.model.test_step(pseudo_collate([pipeline(sample)]))
        predicted = predicted.to_dict()
        limit = box_limits(self.detector_config).max_per_img
        report = PassReport(max_cells(predicted) >= limit, predicted.get('cut_cells', 0))
        return to_image_predictions(predicted), report


def _check_array(image: NDArray[np.uint8], image_id: str) -> None:
    if image.dtype != np.uint8:
        raise InputError(
            f'image {image_id}: {image.dtype} values; convert them to uint8 (16-bit values with '
            'sartorius.images.grey_levels.to_uint8)'
        )
    if image.ndim not in (2, 3) or image.shape[2:] not in ((), (3,)) or image.size == 0:
        raise InputError(f'image {image_id}: an array of shape {image.shape}; it must be (H, W) or (H, W, 3)')
