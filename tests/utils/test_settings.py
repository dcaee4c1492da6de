"""Settings files: what can be read, and the sentence that each mistake is answered with."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import Field, ValidationError

from sartorius.utils.errors import InputError
from sartorius.utils.settings import Flag, Integer, Number, Settings, Text, build, build_by_type, load_settings


class Part(Settings):
    """A part of something."""

    name: Text
    weight: Number = 1.0


class Whole(Settings):
    """Something of parts."""

    parts: tuple[Part, ...] = ()
    """Its parts."""
    count: Annotated[Integer, Field(ge=2)] = 5
    split: Literal['val', 'test'] = 'val'
    quick: Flag = False
    limit: Number | dict[Text, Number] = 0.1
    names: Annotated[tuple[Text, ...], Field(min_length=1)] | None = None
    place: Path | None = None


@dataclass(frozen=True)
class Threshold:
    """Checks its own value."""

    low: float
    high: float = 1.0

    def __post_init__(self) -> None:
        if self.low > self.high:
            raise InputError(f'low is {self.low:g}; it must not be above {self.high:g}')


def test_what_is_not_given_has_its_default() -> None:
    whole = build(Whole, {'parts': [{'name': 'a'}, {'name': 'b', 'weight': 2}], 'limit': {'a': 1}, 'place': 'x/y'})
    assert whole.parts == (Part(name='a'), Part(name='b', weight=2.0))
    assert (whole.count, whole.limit, whole.place) == (5, {'a': 1.0}, Path('x/y'))


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match='frozen'):
        Whole().count = 3


def test_descriptions_are_in_the_schema() -> None:
    assert Whole.model_json_schema()['properties']['parts']['description'] == 'Its parts.'


@pytest.mark.parametrize(
    ('values', 'message'),
    [
        ({'coutn': 3}, "unknown key 'coutn'; did you mean 'count'?"),
        ({1: 3}, 'unknown key 1; known: count, limit, names, parts, place, quick, split'),
        ({'count': 'three'}, "count is 'three'; give a whole number"),
        ({'count': '3'}, "count is '3'; give a whole number"),
        ({'count': 3.0}, 'count is 3.0; give a whole number'),
        ({'count': True}, 'count is True; give a whole number'),
        ({'count': 1}, 'count is 1; it must be 2 or more'),
        ({'quick': 'yes'}, "quick is 'yes'; give true or false"),
        ({'quick': 1}, 'quick is 1; give true or false'),
        ({'split': 'tset'}, "split: unknown 'tset'; did you mean 'test'?"),
        ({'limit': True}, 'limit is True; give a number or a mapping'),
        ({'limit': {'a': '1'}}, "limit: a is '1'; give a number"),
        ({'names': []}, 'names is []; give at least 1'),
        ({'names': 'a'}, "names is 'a'; give a list"),
        ({'place': 3}, 'place is 3; give a path'),
        ({'parts': [{'name': 'a'}, 'b']}, "item 2 of parts is 'b'; give a mapping"),
        ({'parts': [{'name': 'a'}, {}]}, "item 2 of parts: the key 'name' is missing"),
        ({'parts': [{'name': 3}]}, 'item 1 of parts: name is 3; give text'),
        ({'parts': [{'nam': 'a'}]}, "item 1 of parts: unknown key 'nam'; did you mean 'name'?"),
        ([], '[] is not a mapping with some of parts, count, split, quick, limit, names, place'),
    ],
)
def test_a_mistake_is_one_sentence_with_key_value_and_fix(values: object, message: str) -> None:
    with pytest.raises(InputError) as raised:
        build(Whole, values, 'mine')
    assert str(raised.value) == f'mine: {message}'


def test_a_dataclass_checks_its_own_values() -> None:
    assert build(Threshold, {'low': 0.5}) == Threshold(0.5)
    for values, message in [
        ({'low': 2}, 'low is 2; it must not be above 1'),
        ({'lwo': 2}, r"unknown key 'lwo'; did you mean 'low'\?"),
        ({'high': 2}, "the key 'low' is missing"),
    ]:
        with pytest.raises(InputError, match=f'^mine: {message}$'):
            build(Threshold, values, 'mine')


def test_one_of_several_classes_is_chosen_by_its_type() -> None:
    kinds = {'threshold': Threshold, 'part': Part}
    assert build_by_type(kinds, {'type': 'threshold', 'low': 0.1}, 'step 1') == Threshold(0.1)
    assert build_by_type(kinds, {'type': 'part', 'name': 'a'}, 'step 1') == Part(name='a')
    for config, message in [
        ({'type': 'treshold'}, r"step 1: unknown type 'treshold'; did you mean 'threshold'\?"),
        ({'type': 'part', 'nmae': 'a'}, r"step 1: part: unknown key 'nmae'; did you mean 'name'\?"),
        ({'low': 1}, r"step 1: \{'low': 1\} is not a mapping with a type; write dict\(type=..., ...\)"),
    ]:
        with pytest.raises(InputError, match=f'^{message}$'):
            build_by_type(kinds, config, 'step 1')


@pytest.mark.parametrize(
    ('name', 'text'),
    [
        ('a.py', 'low = 2\nmine = dict(count=low + 1)'),
        ('a.json', '{"mine": {"count": 3}}'),
        ('a.yaml', 'mine: {count: 3}'),
    ],
)
def test_three_formats_say_the_same(tmp_path: Path, name: str, text: str) -> None:
    path = tmp_path / name
    path.write_text(text)
    read = load_settings(path, lambda content: build(Whole, content), 'test file', 'mine', ('.py', '.json', '.yaml'))
    assert read == Whole(count=3)


@pytest.mark.parametrize(
    ('name', 'text', 'message'),
    [
        ('a.py', 'mine = (', r'line 1 is not valid Python: .*'),
        ('a.py', '\nmine = 1 / 0', 'line 2: ZeroDivisionError: division by zero'),
        ('a.json', '{', 'not JSON .*'),
        ('a.yaml', 'a: [', 'not valid YAML: .*'),
        ('a.yaml', '', 'defines no mine; write the settings under that name'),
        ('a.txt', '', 'a test file ends in .py or .json or .yaml'),
        ('a.json', '{"mine": {"count": 0}}', 'count is 0; it must be 2 or more'),
    ],
)
def test_a_bad_file_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, text: str, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path(name).write_text(text)
    with pytest.raises(InputError, match=f'^{name}: {message}$'):
        load_settings(name, lambda content: build(Whole, content), 'test file', 'mine', ('.py', '.json', '.yaml'))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match='gone.json: no such test file$'):
        load_settings(tmp_path / 'gone.json', dict, 'test file', None)
