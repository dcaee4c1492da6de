"""Phase-contrast optics: from the phase that cells add to the light to the image that a camera records."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from sartorius.masks.crop import Size

Phase = NDArray[np.float32]
"""Float array ``(height, width)``: radians by which cells delay the light, relative to the empty field."""

DARKEST, BRIGHTEST = 2, 255
SHARPENING_WIDTH = 1.1


@dataclass(frozen=True)
class Optics:
    """Microscope, camera and software of one image.

    Attributes:
        ring: Amplitude that the phase ring lets through, in (0, 1]; less gives more contrast.
        halo: Standard deviations in pixels of the light around each point that passes the ring with the background:
            of the narrow bright rim, and of the wide halo.
        rim: Share of the narrow one, in [0, 1].
        negative: Whether thick things are bright (negative phase contrast) instead of dark.
        focus: Standard deviation of the blur, in pixels.
        defocus: Weight of the phase's curvature: above or below the plane of focus, edges get bright or dark lines.
        tilt: How strongly light from one side shades slopes: x and y.
        sharpening: Share of the fine detail that the camera's software adds once more.
        flattening: Standard deviation in pixels of the slow changes that software removes; 0 for none.
        light: Change of the illumination from the centre to the corners and from side to side, in grey levels.
        background: Grey level of the empty field.
        contrast: Grey levels between the field and all but the strongest 1 % of the image.
        grain: Standard deviation of the noise, in grey levels.
        grain_size: Its correlation length in pixels.
    """

    ring: float
    halo: tuple[float, float]
    rim: float
    negative: bool
    focus: float
    defocus: float
    tilt: tuple[float, float]
    sharpening: float
    flattening: float
    light: float
    background: float
    contrast: float
    grain: float
    grain_size: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> 'Optics':
        """Random optics: any microscope that makes phase contrast, and none in particular."""
        flattened = rng.random() < 0.55
        tilt = rng.normal(0, 0.06, 2) if rng.random() < 0.7 else rng.normal(0, 0.3, 2)
        contrast = float(np.exp(rng.uniform(np.log(18), np.log(120))))
        return cls(
            ring=float(rng.uniform(0.45, 1.0)),
            halo=(float(rng.uniform(0.9, 2.5)), float(np.exp(rng.uniform(np.log(2.5), np.log(14.0))))),
            rim=float(rng.beta(0.9, 0.9)),
            negative=bool(rng.random() < 0.06),
            focus=float(rng.uniform(0.45, 0.8) if rng.random() < 0.75 else rng.uniform(0.8, 1.8)),
            defocus=float(rng.normal(-0.4, 0.5)),
            tilt=(float(tilt[0]), float(tilt[1])),
            sharpening=float(rng.choice((0.0, rng.uniform(0.2, 1.6)), p=(0.3, 0.7))),
            flattening=float(np.exp(rng.uniform(np.log(3.5), np.log(30)))) if flattened else 0.0,
            light=0.0 if flattened else float(rng.uniform(0, 40)),
            background=128.0 if flattened and rng.random() < 0.7 else float(rng.uniform(70, 170)),
            contrast=contrast,
            grain=float(contrast * np.exp(rng.uniform(np.log(0.004), np.log(0.1)))),
            grain_size=float(rng.uniform(0.35, 0.8)),
        )


def expose(phase: Phase, optics: Optics, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Image ``(height, width)`` of a phase map: what passes the microscope, the camera and its software."""
    signal = sharpened(phase_contrast(phase, optics), optics.sharpening)
    if optics.flattening:
        signal -= cv2.GaussianBlur(signal, (0, 0), optics.flattening, borderType=cv2.BORDER_REFLECT)
    # Cameras and software stretch what there is; an empty field must not become all grain.
    strongest = max(float(np.quantile(np.abs(signal), 0.99)), 0.05)
    grey = signal * np.float32(optics.contrast / strongest)
    grey += np.float32(optics.background) + np.float32(optics.light) * _uneven_light(phase.shape, rng)
    grey += np.float32(optics.grain) * smooth_noise(phase.shape, optics.grain_size, rng)
    return np.clip(np.rint(grey), DARKEST, BRIGHTEST).astype(np.uint8)


def phase_contrast(phase: Phase, optics: Optics) -> NDArray[np.float32]:
    """Relative intensity ``(height, width)``: 0 in the empty field, -1 where no light arrives.

    After Zernike: the light that no object bent passes the phase ring, which delays it by a quarter wave and weakens
    it, and then interferes with the bent light. A ring has a width, so light that an object bent a little passes it
    too. That makes the halo and the shade-off of large objects; objects that delay by more than the ring lets through
    turn bright, as rounded cells do.
    """
    seen = cv2.GaussianBlur(phase, (0, 0), optics.focus)
    seen = seen + np.float32(optics.defocus) * cv2.Laplacian(seen, cv2.CV_32F, borderType=cv2.BORDER_REFLECT)
    real, imaginary = np.cos(seen), np.sin(seen)
    real_ring, imaginary_ring = _through_ring(real, optics), _through_ring(imaginary, optics)
    quarter = np.float32(optics.ring if optics.negative else -optics.ring)
    # (u - b) + quarter * i * b, with u the light behind the objects and b what passes the ring.
    field_real = real - real_ring - quarter * imaginary_ring
    field_imaginary = imaginary - imaginary_ring + quarter * real_ring
    intensity = (field_real**2 + field_imaginary**2) / np.float32(optics.ring**2) - 1
    for weight, direction in zip(optics.tilt, ((1, 0), (0, 1)), strict=True):
        slope = cv2.Sobel(seen, cv2.CV_32F, *direction, scale=0.125, borderType=cv2.BORDER_REFLECT)
        intensity += np.float32(weight) * slope
    return intensity


def sharpened(image: NDArray[np.float32], share: float) -> NDArray[np.float32]:
    """An image with a share of its fine detail added once more, as cameras' software does (unsharp masking)."""
    smooth = cv2.GaussianBlur(image, (0, 0), SHARPENING_WIDTH)
    return image + np.float32(share) * (image - smooth)


def _through_ring(field: NDArray[np.float32], optics: Optics) -> NDArray[np.float32]:
    narrow, wide = (cv2.GaussianBlur(field, (0, 0), width, borderType=cv2.BORDER_REFLECT) for width in optics.halo)
    return np.float32(optics.rim) * narrow + np.float32(1 - optics.rim) * wide


def _uneven_light(size: Size, rng: np.random.Generator) -> NDArray[np.float32]:
    """A slope and a bowl over the image, within about [-1, 1]."""
    rows = np.linspace(-1, 1, size[0], dtype=np.float32)[:, None]
    columns = np.linspace(-1, 1, size[1], dtype=np.float32)[None]
    angle, bowl = rng.uniform(0, 2 * np.pi), rng.uniform(-0.5, 0.3)
    slope = np.float32(np.cos(angle)) * columns + np.float32(np.sin(angle)) * rows
    return 0.6 * slope + np.float32(bowl) * (rows**2 + columns**2)


def smooth_noise(size: Size, sigma: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """Gaussian noise of zero mean and unit variance with a correlation length of about ``sigma`` pixels."""
    noise = cv2.GaussianBlur(rng.standard_normal(size, dtype=np.float32), (0, 0), sigma)
    return noise / max(float(noise.std()), 1e-6)
