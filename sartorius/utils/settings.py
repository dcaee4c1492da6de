"""Settings files (workflow, fusion, pseudo-label rules, post-processing chain): reading, checking, and error messages.

A settings class is a :class:`Settings` model, which pydantic checks by its annotations, or a frozen dataclass that
checks its own values. Every mistake is reported in one sentence that names file, key, bad value and fix.
"""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Strict, ValidationError, model_validator

from sartorius.utils.errors import InputError, did_you_mean, shown
from sartorius.utils.input_text import read_json, read_yaml
from sartorius.utils.paths import display_path, resolve_path
from sartorius.utils.python_files import plain, run_python

T = TypeVar('T')

# Values as they are written: '3' is no number and 1 is no truth value.
Integer = Annotated[int, Strict()]
Number = Annotated[float, Strict()]
Flag = Annotated[bool, Strict()]
Text = Annotated[str, Strict()]
# A relative path in a settings file starts at the checkout, whatever folder a command is started from.
ProjectPath = Annotated[Path, AfterValidator(resolve_path)]

WANTED = {
    'bool_type': 'true or false',
    'dict_type': 'a mapping',
    'float_type': 'a number',
    'int_type': 'a whole number',
    'list_type': 'a list',
    'model_type': 'a mapping',
    'path_type': 'a path',
    'string_type': 'text',
    'tuple_type': 'a list',
}
"""What a value must be, by pydantic's type of error."""


class Settings(BaseModel):
    """Base class of settings: immutable, without unknown keys; a docstring after a field describes it."""

    model_config = ConfigDict(frozen=True, extra='forbid', use_attribute_docstrings=True)

    @model_validator(mode='before')
    @classmethod
    def _check_keys(cls, values: Any) -> Any:
        if isinstance(values, Mapping):
            check_keys(values, cls.model_fields)
        return values


def check_keys(values: Mapping[Any, Any], known: Collection[str], required: Collection[str] = ()) -> None:
    """Checks the keys of a mapping.

    Raises:
        InputError: A key is unknown (the nearest known one is named) or missing.
    """
    for key in values:
        if key not in known:
            raise InputError(f'unknown key {key!r}{did_you_mean(str(key), known)}')
    for key in required:
        if key not in values:
            raise InputError(f'the key {key!r} is missing')


def build(kind: type[T], values: object, where: str = '') -> T:
    """Creates settings from parsed content of a file.

    Args:
        kind: A :class:`Settings` class, or a dataclass that checks its values and raises :class:`InputError`.
        values: Its fields by name.
        where: What messages begin with, such as the file's name; empty for nothing.

    Raises:
        InputError: No mapping, a key that is unknown or missing, or a bad value.
    """
    prefix = f'{where}: ' if where else ''
    try:
        if not isinstance(values, Mapping):
            raise InputError(f'{shown(values)} is not a mapping with some of {", ".join(_field_names(kind))}')
        if issubclass(kind, BaseModel):
            return kind.model_validate(values)
        required = [one.name for one in fields(kind) if one.default is one.default_factory is MISSING]
        check_keys(values, _field_names(kind), required)
        return kind(**values)
    except ValidationError as error:
        raise InputError(prefix + _explain(error, values)) from None
    except InputError as error:
        raise InputError(f'{prefix}{error}') from None


def build_by_type(kinds: Mapping[str, type[T]], config: object, where: str) -> T:
    """Creates an object of one of several classes from a config such as ``dict(type='NMS', iou_threshold=0.5)``.

    Args:
        kinds: The classes to choose from, by name; as for :func:`build`.
        config: ``type`` and the fields of that class; fields that are not named keep their defaults.
        where: What messages begin with, such as ``post-processing step 2``; empty for nothing.

    Raises:
        InputError: No mapping, an unknown type, or as :func:`build`.
    """
    prefix = f'{where}: ' if where else ''
    if not isinstance(config, Mapping) or not isinstance(config.get('type'), str):
        raise InputError(f'{prefix}{shown(config)} is not a mapping with a type; write dict(type=..., ...)')
    name = config['type']
    if name not in kinds:
        raise InputError(f'{prefix}unknown type {name!r}{did_you_mean(name, kinds)}')
    return build(kinds[name], {key: value for key, value in config.items() if key != 'type'}, f'{prefix}{name}')


def load_settings(
    path: str | Path,
    builder: Callable[[Any], T],
    what: str,
    key: str | None,
    suffixes: Sequence[str] = ('.json', '.py'),
) -> T:
    """Reads a settings file.

    Args:
        path: A file of one of the formats.
        builder: Creates the settings from the parsed content, raising :class:`InputError` for bad values.
        what: What messages call such a file, for example ``post-processing file``.
        key: Name under which the settings stand in the file; None for the whole file.
        suffixes: Formats: ``.json``, ``.py`` (the names that it defines), ``.yaml``.

    Raises:
        InputError: The file is missing, is of another format or invalid, or its settings are wrong; the message names
            the file.
    """
    path = Path(path) if Path(path).is_file() else resolve_path(path)
    if not path.is_file():
        raise InputError(f'{display_path(path)}: no such {what}')
    if path.suffix not in suffixes:
        raise InputError(f'{display_path(path)}: a {what} ends in {" or ".join(suffixes)}')
    content = _READERS[path.suffix](path)
    try:
        if key is not None:
            if not isinstance(content, Mapping) or key not in content:
                raise InputError(f'defines no {key}; write the settings under that name')
            content = plain(content[key], key) if path.suffix == '.py' else content[key]
        return builder(content)
    except InputError as error:
        raise InputError(f'{display_path(path)}: {error}') from None


def _read_json(path: Path) -> object:
    return read_json(path, finite=True, fix='mend it there')


_READERS = {'.json': _read_json, '.py': run_python, '.yaml': read_yaml}


def _field_names(kind: type) -> list[str]:
    return list(kind.model_fields) if issubclass(kind, BaseModel) else [one.name for one in fields(kind)]


def _explain(error: ValidationError, values: object) -> str:
    """The first problem that pydantic found, in one sentence."""
    problems = [(*_find(problem['loc'], values), problem) for problem in error.errors(include_url=False)]
    first = problems[0][0]
    # A union reports a problem for each of its members; the one deepest in the values fits best.
    inside = [one for one in problems if one[0][: len(first)] == first]
    place, value, problem = max(inside, key=lambda one: len(one[0]))
    if problem['type'] == 'value_error':
        return f'{_words(place)}: {problem["ctx"]["error"]}' if place else str(problem['ctx']['error'])
    if problem['type'] == 'missing':
        return ': '.join([*filter(None, [_words(place)]), f'the key {problem["loc"][-1]!r} is missing'])
    if problem['type'] == 'greater_than_equal':
        return f'{_words(place)} is {shown(value)}; it must be {problem["ctx"]["ge"]} or more'
    if problem['type'] == 'too_short':
        return f'{_words(place)} is {shown(value)}; give at least {problem["ctx"]["min_length"]}'
    if problem['type'] == 'literal_error':
        known = re.findall("'(.*?)'", problem['ctx']['expected'])
        return f'{_words(place)}: unknown {shown(value)}{did_you_mean(str(value), known)}'
    same = [one['type'] for where, _, one in inside if where == place]
    if all(name in WANTED for name in same):
        return f'{_words(place)} is {shown(value)}; give {" or ".join(dict.fromkeys(WANTED[name] for name in same))}'
    return f'{_words(place)} is {shown(value)}: {problem["msg"]}'


def _find(location: Sequence[str | int], values: object) -> tuple[list[str | int], object]:
    """The part of pydantic's location that is a path in the values, and the value there; the rest names types."""
    place: list[str | int] = []
    for part in location:
        is_key = isinstance(values, Mapping) and part in values
        is_index = isinstance(part, int) and isinstance(values, (list, tuple)) and part < len(values)
        if is_key or is_index:
            values = values[part]
            place.append(part)
    return place, values


def _words(place: Sequence[str | int]) -> str:
    """A path in words: ``item 2 of recipes: iterations``."""
    words: list[str] = []
    for part in place:
        if isinstance(part, int):
            words[-1] = f'item {part + 1} of {words[-1]}'
        else:
            words.append(part)
    return ': '.join(words)
