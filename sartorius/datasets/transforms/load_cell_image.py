"""Loads grey and colour images of any depth as the models take them."""

from typing import Any

from mmcv.transforms import BaseTransform
from mmdet.registry import TRANSFORMS

from sartorius.images.reading import read_cell_image
from sartorius.utils.errors import InputError


@TRANSFORMS.register_module()
class LoadCellImage(BaseTransform):
    """Loads ``img_path`` as uint8 of shape ``(height, width, 3)``; see :func:`read_cell_image`.

    Added keys: ``img``, ``img_shape``, ``ori_shape`` (both ``(height, width)``). If the sample has ``height`` and
    ``width``, they must be those of the file.

    Raises:
        InputError: As :func:`read_cell_image`; or the file has another size than the annotations say.
    """

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        results = dict(results)
        image = read_cell_image(results['img_path'])
        height, width = image.shape[:2]
        said = results.get('height', height), results.get('width', width)
        if said != (height, width):
            turned = ', and its annotations as its EXIF data turn it' if said == (width, height) else ''
            raise InputError(
                f'image {results["img_path"]} is {width}x{height} pixels, its annotations say {said[1]}x{said[0]}; use '
                f'the image that was annotated{turned}'
            )
        results['img'] = image
        results['img_shape'] = results['ori_shape'] = height, width
        return results
