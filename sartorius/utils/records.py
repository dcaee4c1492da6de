"""Frozen dataclasses that are kept as JSON objects: written, and read back exactly with their types checked."""

import math
import types
import typing
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from functools import cache
from typing import Any, ClassVar, Self

from sartorius.utils.errors import InputError, shown

WANTED = {str: 'text', int: 'a whole number from 0', float: 'a number', bool: 'true or false'}


@dataclass(frozen=True, kw_only=True)
class Record:
    """Base class of records.

    Fields may be text, numbers, truth values, mappings of plain JSON, tuples, further records, or a union of records
    that is told apart by ``kind``; whole numbers are 0 or more. Truth values are always written, other fields unless
    they have their default, such as None.

    Attributes:
        other: Entries that this release does not know. They are written as they were read.
    """

    KIND: ClassVar[str] = ''
    """Value of the key ``kind``, by which a union of records is told apart; empty for records without that key."""

    other: Mapping[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types; :meth:`from_dict` gives the same record back."""
        values: dict[str, Any] = {'kind': self.KIND} if self.KIND else {}
        for one in fields(self):
            value = getattr(self, one.name)
            default = one.default if one.default_factory is MISSING else one.default_factory()
            if one.name != 'other' and (isinstance(value, bool) or value != default):
                values[one.name] = to_plain(value)
        return {**values, **to_plain(self.other)}

    @classmethod
    def from_dict(cls, values: Any, where: str) -> Self:
        """Reads a record.

        Args:
            values: Parsed JSON.
            where: What messages begin with, for example the file's name.

        Raises:
            InputError: No JSON object, a missing key, or a value of another type; the message names the key.
        """
        if not isinstance(values, Mapping):
            raise InputError(f'{where} is {values!r}, expected a JSON object; make the file again')
        hints = _field_types(cls)
        known, other = {}, {}
        for key, value in values.items():
            if key in hints:
                known[key] = convert(hints[key], value, f'{where}: {key}')
            elif key != 'kind' or not cls.KIND:
                other[key] = value
        required = [one.name for one in fields(cls) if one.default is one.default_factory is MISSING]
        missing = [name for name in required if name not in known]
        if missing:
            raise InputError(f'{where} has no {missing[0]}; make the file again')
        try:
            return cls(**known, other=other)
        except InputError as error:
            raise InputError(f'{where}: {error}') from None


def to_plain(value: Any) -> Any:
    """A value as JSON holds it: records and other dataclasses as objects, tuples as lists."""
    if isinstance(value, Record):
        return value.to_dict()
    if is_dataclass(value):
        return {one.name: to_plain(getattr(value, one.name)) for one in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): to_plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [to_plain(part) for part in value]
    return value


def convert(wanted: Any, value: Any, where: str) -> Any:
    """A parsed JSON value as a field's type has it; see :class:`Record`.

    Raises:
        InputError: It is of another type.
    """
    if isinstance(value, float) and not math.isfinite(value):
        raise InputError(f'{where} is {value}, which is no number of a JSON file; make the file again')
    if wanted is Any:
        return value
    if typing.get_origin(wanted) in (typing.Union, types.UnionType):
        return _convert_union(typing.get_args(wanted), value, where)
    if typing.get_origin(wanted) is tuple:
        if not isinstance(value, list | tuple):
            raise InputError(f'{where} is {shown(value)}, expected a list; make the file again')
        part = typing.get_args(wanted)[0]
        return tuple(convert(part, one, f'{where}, item {number}') for number, one in enumerate(value, 1))
    if isinstance(wanted, type) and issubclass(wanted, Record):
        return wanted.from_dict(value, where)
    if is_dataclass(wanted):
        return _convert_dataclass(wanted, value, where)
    if typing.get_origin(wanted) is Mapping or wanted is Mapping:
        if not isinstance(value, Mapping):
            raise InputError(f'{where} is {shown(value)}, expected a JSON object; make the file again')
        part = (typing.get_args(wanted) or (str, Any))[1]
        return {name: convert(part, one, f'{where}: {name}') for name, one in value.items()}
    fits = type(value) is wanted or (wanted is float and type(value) is int)
    if not fits or (wanted is int and value < 0):
        raise InputError(f'{where} is {shown(value)}, expected {WANTED[wanted]}; make the file again')
    return value


def _convert_union(members: tuple[Any, ...], value: Any, where: str) -> Any:
    chosen = [one for one in members if one is not type(None)]
    if value is None and len(chosen) < len(members):
        return None
    if len(chosen) == 1:
        return convert(chosen[0], value, where)
    kind = value.get('kind', '') if isinstance(value, Mapping) else ''
    of_kind = [one for one in chosen if kind == one.KIND] or [one for one in chosen if not one.KIND]
    return convert(of_kind[0], value, where)


def _convert_dataclass(wanted: type, value: Any, where: str) -> Any:
    hints = _field_types(wanted)
    if not isinstance(value, Mapping) or set(value) != set(hints):
        raise InputError(f'{where} is {shown(value)}, expected an object of {", ".join(hints)}; make the file again')
    return wanted(**{name: convert(hint, value[name], f'{where}: {name}') for name, hint in hints.items()})


@cache
def _field_types(record: type) -> dict[str, Any]:
    hints = typing.get_type_hints(record)
    return {one.name: hints[one.name] for one in fields(record) if one.name != 'other'}
