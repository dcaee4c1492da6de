"""Options that several command lines share."""

import argparse

from sartorius.export.formats import DEFAULT_FORMATS, FORMATS
from sartorius.utils.cli import EXPORT_FORMATS, add_format_option
from sartorius.utils.errors import InputError


def test_help_names_the_formats_that_there_are() -> None:
    parser = argparse.ArgumentParser()
    add_format_option(parser)
    assert list(EXPORT_FORMATS) == list(FORMATS)
    assert tuple(parser.parse_args([]).formats) == DEFAULT_FORMATS


def test_a_message_with_a_value_of_a_million_characters_keeps_its_ends() -> None:
    text = str(InputError(f'a.csv, row 2: id {"x" * 1_000_000!r} is unknown; correct it\nsecond line'))
    first, second = text.split('\n')
    assert first.startswith('a.csv, row 2: id ') and first.endswith('is unknown; correct it') and len(first) < 1100
    assert second == 'second line'
