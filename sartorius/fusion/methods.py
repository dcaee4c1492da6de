"""The table of fusion methods. A new one is a frozen dataclass in a file of its own, and a line here."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sartorius.fusion.consensus import Consensus
from sartorius.fusion.nms import NMS
from sartorius.fusion.nmw import NMW
from sartorius.fusion.soft_nms import SoftNMS
from sartorius.fusion.specialists import Specialists
from sartorius.fusion.wbf import WBF
from sartorius.utils.errors import InputError
from sartorius.utils.settings import build_by_type

Method = WBF | NMS | SoftNMS | NMW | Consensus
"""Fuses :class:`Candidates` when it is called; its fields are its parameters."""

METHODS: dict[str, type[Method]] = {
    'wbf': WBF,
    'nms': NMS,
    'soft-nms': SoftNMS,
    'nmw': NMW,
    'consensus': Consensus,
}
DEFAULT_METHOD = 'wbf'

SetMethod = Method | Specialists
SET_METHODS: dict[str, type[SetMethod]] = {**METHODS, 'specialists': Specialists}
"""What prediction sets can be fused by: the methods for boxes, and specialists, which fuses none."""


def name_of(method: SetMethod) -> str:
    """Its key in the table."""
    return next(name for name, kind in SET_METHODS.items() if kind is type(method))


def build_method(config: Mapping[str, Any], methods: Mapping[str, type[SetMethod]] = METHODS) -> SetMethod:
    """Method of a config such as ``dict(type='wbf', iou_threshold=.6)``; parameters not named keep their defaults.

    Args:
        config: The type and its parameters.
        methods: The types to choose from.

    Raises:
        InputError: An unknown type or parameter (the nearest known one is named), or a value out of range.
    """
    return build_by_type(methods, config, 'fusion method')


def resolve_method(
    method: str | SetMethod, iou_threshold: float | None, methods: Mapping[str, type[SetMethod]] = METHODS
) -> SetMethod:
    """A method by its name with its defaults, or as it is; ``iou_threshold`` takes the place of its own unless None.

    Raises:
        InputError: As :func:`build_method`, or a threshold for a method that has none.
    """
    if isinstance(method, str):
        method = build_method({'type': method}, methods)
    if iou_threshold is not None and isinstance(method, Specialists):
        raise InputError('specialists takes no IoU threshold: it fuses no boxes')
    return method if iou_threshold is None else replace(method, iou_threshold=iou_threshold)
