"""Instance segmentation of crowded living cells, built on MMDetection.

>>> from sartorius import load_model
>>> cells = load_model('model.pth').predict('image.tif')  # doctest: +SKIP
>>> cells.labels, cells.table(), cells.save('out/image')  # doctest: +SKIP
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sartorius.engine.image_prediction.python_api import load_model

__version__ = '0.2.0.dev0'
__all__ = ['__version__', 'load_model']


def __getattr__(name: str) -> Any:
    # Loaded when it is first used: torch and MMDetection take seconds to import.
    if name == 'load_model':
        from sartorius.engine.image_prediction.python_api import load_model

        return load_model
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
