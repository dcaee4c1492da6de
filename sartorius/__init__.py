"""Instance segmentation of crowded living cells, built on MMDetection.

>>> from sartorius import load_model
>>> cells = load_model('model.pth').predict('image.tif')  # doctest: +SKIP
>>> cells.labels, cells.table(), cells.save('out/image')  # doctest: +SKIP
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from sartorius.engine.image_prediction.python_api import Model

__version__ = '0.2.0.dev0'
__all__ = ['__version__', 'load_model']


def load_model(name_or_path: 'str | Path | None' = None, device: str | None = None) -> 'Model':
    """Reads a model, which then predicts any number of images.

    Args:
        name_or_path: File of a model, or the name of one that comes with the package or lies in ``$SARTORIUS_MODELS``;
            the package's own model if None.
        device: Such as ``cpu`` or ``cuda:1``; a GPU where there is one if None.

    Raises:
        InputError: There is no such model, or it cannot be read.
    """
    # Here, because torch and MMDetection take seconds to import.
    from sartorius.engine.image_prediction.python_api import Model

    return Model(name_or_path, device)
