"""What a fusion method takes and returns, and the registry of all methods."""

from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields, is_dataclass, replace
from typing import Any, ClassVar, TypeVar

import numpy as np
from numpy.typing import NDArray

from sartorius.fusion.checks import check_choice, check_number
from sartorius.masks.packed import PackedMasks
from sartorius.utils.errors import InputError
from sartorius.utils.settings import build_by_type

DROPPED = ('low_score', 'unusable', 'rejected', 'without_mask')
"""Why cells are not in a fused image; :func:`sartorius.fusion.image.fuse_image` explains them."""


@dataclass(frozen=True, eq=False)
class Candidates:
    """All models' boxes of one image, best weighted score first, in an order that does not depend on the input order.

    A method never gets a box without area, a score of 0 or a weight of 0.

    Attributes:
        boxes: float64 ``(N, 4)``: ``x1, y1, x2, y2`` as a share of the image's width and height, in [0, 1].
        scores: float64 ``(N,)`` in (0, 1].
        labels: int64 ``(N,)``: below L.
        models: int64 ``(N,)``: index into ``weights``.
        weights: float64 ``(M,)``, above 0; the largest is 1. A model may have no box here.
        knows: bool ``(M, L)``: whether a model can predict a label at all.
        masks: Makes the binary masks in pixels of the image; None for boxes without masks.
    """

    boxes: NDArray[np.float64]
    scores: NDArray[np.float64]
    labels: NDArray[np.int64]
    models: NDArray[np.int64]
    weights: NDArray[np.float64]
    knows: NDArray[np.bool_]
    masks: Callable[[], PackedMasks] | None = None

    @property
    def weighted_scores(self) -> NDArray[np.float64]:
        """float64 ``(N,)``: score times model weight, descending."""
        return self.scores * self.weights[self.models]


@dataclass(frozen=True, eq=False)
class Fusion:
    """Result of a fusion method, in any order.

    Attributes:
        boxes: float64 ``(K, 4)`` as in :class:`Candidates`.
        scores: float64 ``(K,)`` in [0, 1].
        labels: int64 ``(K,)``.
        owners: int64 ``(N,)``: index of the fused box that each candidate went into; -1 for candidates that the method
            drops. Every fused box has at least one candidate.
        kept: int64 ``(K,)``: the candidate that each box is, for methods that choose among the boxes; None for methods
            that make new ones.
    """

    boxes: NDArray[np.float64]
    scores: NDArray[np.float64]
    labels: NDArray[np.int64]
    owners: NDArray[np.int64]
    kept: NDArray[np.int64] | None = None


def parameter(
    default: Any,
    *,
    choices: tuple[str, ...] | None = None,
    at_least: float | None = None,
    at_most: float | None = None,
    above: float | None = None,
    below: float | None = None,
) -> Any:
    """Field of a :class:`Method`: its default and its valid values, which are checked when a method is made.

    Args:
        default: Value where a config or command gives none.
        choices: The valid strings; the parameter is a number if None, or a flag if the default is one.
        at_least: Lower limit, itself valid.
        at_most: Upper limit, itself valid.
        above: Lower limit, itself not valid.
        below: Upper limit, itself not valid.
    """
    limits = {'at least': at_least, 'at most': at_most, 'above': above, 'below': below}
    known = {words: limit for words, limit in limits.items() if limit is not None}
    return field(default=default, metadata={'choices': choices, 'limits': known})


class Method:
    """Base of the fusion methods: frozen dataclasses whose fields are the method's parameters.

    Attributes:
        name: Name in configs and on the command line; :func:`register` sets it.
        needs_masks: Whether the method compares masks, so that boxes without masks are refused.
        can_average_masks: Whether ``average_masks`` has a meaning: the method keeps one box of several, and the masks
            of the others may be averaged into its mask.
    """

    name: ClassVar[str]
    needs_masks: ClassVar[bool] = False
    can_average_masks: ClassVar[bool] = False

    def __post_init__(self) -> None:
        for one in fields(self):
            value = getattr(self, one.name)
            if isinstance(one.default, bool):
                check_choice(one.name, value, (True, False))
            elif one.metadata['choices'] is not None:
                check_choice(one.name, value, one.metadata['choices'])
            else:
                check_number(one.name, value, one.metadata['limits'])

    @property
    def has_iou_threshold(self) -> bool:
        """Whether a parameter ``iou_threshold`` takes effect, so that ``--iou`` may set it."""
        return 'iou_threshold' in [one.name for one in fields(self)]

    def __call__(self, candidates: Candidates) -> Fusion:
        """Fuses the boxes of one image.

        Args:
            candidates: At least one box.
        """
        raise NotImplementedError


METHODS: dict[str, type[Method]] = {}
"""The registered methods by name."""

MethodType = TypeVar('MethodType', bound=type[Method])


def register(name: str) -> Callable[[MethodType], MethodType]:
    """Class decorator that adds a method to :data:`METHODS`: command line, configs and tests take it from there.

    Args:
        name: Name of the method in configs and on the command line.

    Raises:
        TypeError: The class is no dataclass of :class:`Method`, or a field was not made by :func:`parameter`.
        ValueError: The name is taken.
    """

    def add(method: MethodType) -> MethodType:
        if not (is_dataclass(method) and issubclass(method, Method)):
            raise TypeError(f'{method.__name__} must be a dataclass and a subclass of Method')
        for one in fields(method):
            if one.default is MISSING or 'limits' not in one.metadata:
                raise TypeError(f'{method.__name__}.{one.name} must be made by parameter(DEFAULT, ...)')
        if name in METHODS:
            raise ValueError(f'there is a fusion method {name!r} already')
        method.name = name
        METHODS[name] = method
        return method

    return add


def build_method(config: Mapping[str, Any], methods: Mapping[str, type] = METHODS) -> Any:
    """Method of a config such as ``dict(type='wbf', iou_threshold=.6)``; omitted parameters keep their defaults.

    Args:
        config: The type and its parameters.
        methods: The types to choose from.

    Raises:
        InputError: An unknown type or parameter (the nearest known one is named), or a value out of range.
    """
    return build_by_type(methods, config, 'fusion method')


def resolve_method(method: Any, iou_threshold: float | None, methods: Mapping[str, type] = METHODS) -> Any:
    """A method by its name with its defaults, or as it is; ``iou_threshold`` replaces its own unless None.

    Raises:
        InputError: As :func:`build_method`, or a threshold for a method that has none.
    """
    if isinstance(method, str):
        method = build_method({'type': method}, methods)
    if iou_threshold is None:
        return method
    if not method.has_iou_threshold:
        raise InputError(f'fusion method {method.name} takes no IoU threshold; leave it out')
    return replace(method, iou_threshold=iou_threshold)
