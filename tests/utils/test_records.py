"""Records as JSON objects and back."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import pytest

from sartorius.utils.errors import InputError
from sartorius.utils.records import Record


@dataclass(frozen=True, kw_only=True)
class Circle(Record):
    KIND: ClassVar[str] = 'circle'
    radius: float


@dataclass(frozen=True, kw_only=True)
class Blob(Record):
    points: tuple[tuple[float, ...], ...] = ()


@dataclass(frozen=True, kw_only=True)
class Drawing(Record):
    shape: Circle | Blob
    name: str | None = None
    count: int | None = None
    hidden: bool = False
    anything: Any = None
    versions: Mapping[str, str] = field(default_factory=dict)


@pytest.mark.parametrize(
    ('record', 'values'),
    [
        (Drawing(shape=Circle(radius=1)), {'shape': {'kind': 'circle', 'radius': 1}, 'hidden': False}),
        (Drawing(shape=Blob()), {'shape': {}, 'hidden': False}),
        (Drawing(shape=Blob(), count=0, name=''), {'shape': {}, 'name': '', 'count': 0, 'hidden': False}),
        (
            Drawing(shape=Blob(points=((1.5, 2), ())), hidden=True, anything=[{'a': None}]),
            {'shape': {'points': [[1.5, 2], []]}, 'hidden': True, 'anything': [{'a': None}]},
        ),
        (Drawing(shape=Blob(), other={'new': [1]}), {'shape': {}, 'hidden': False, 'new': [1]}),
    ],
)
def test_round_trip(record: Drawing, values: dict) -> None:
    assert record.to_dict() == values
    assert Drawing.from_dict(values, 'x') == record


@pytest.mark.parametrize(
    ('values', 'message'),
    [
        ([], r'^x is \[\], expected a JSON object'),
        ({}, '^x has no shape'),
        ({'shape': {'kind': 'circle'}}, '^x: shape has no radius'),
        ({'shape': {'kind': 'circle', 'radius': True}}, '^x: shape: radius is True, expected a number'),
        ({'shape': {'points': [[1], 2]}}, '^x: shape: points, item 2 is 2, expected a list'),
        ({'shape': {}, 'count': 1.0}, '^x: count is 1.0, expected a whole number from 0'),
        ({'shape': {'kind': 'circle', 'radius': float('nan')}}, '^x: shape: radius is nan'),
        ({'shape': {}, 'anything': float('inf')}, '^x: anything is inf'),
        ({'shape': {}, 'versions': {'torch': 2.1}}, '^x: versions: torch is 2.1, expected text'),
        ({'shape': {}, 'hidden': None}, '^x: hidden is None, expected true or false'),
    ],
)
def test_other_types_are_refused_by_key(values: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Drawing.from_dict(values, 'x')
