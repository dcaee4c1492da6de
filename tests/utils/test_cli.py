"""Options that several command lines share."""

import argparse
import logging

import pytest

from sartorius.export.formats import DEFAULT_FORMATS, FORMATS
from sartorius.utils.cli import EXPORT_FORMATS, add_format_option, run_tool
from sartorius.utils.errors import InputError
from sartorius.utils.notes import collect_notes


def test_help_names_the_formats_that_there_are() -> None:
    parser = argparse.ArgumentParser()
    add_format_option(parser)
    assert list(EXPORT_FORMATS) == list(FORMATS)
    assert tuple(parser.parse_args([]).formats) == DEFAULT_FORMATS


def test_what_is_dropped_is_said_again_in_the_last_lines(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Any module need only log a warning; it is said once more at the end, each sentence once, on failure too."""
    for name in ('prepare_process', 'prepare_streams'):
        monkeypatch.setattr(f'sartorius.utils.cli.{name}', lambda *_: None)
    logger = logging.getLogger('sartorius.some.reader')

    def work() -> None:
        logger.warning('1 of 2 cells are dropped')
        logger.warning('1 of 2 cells are dropped')
        print('much text')
        raise InputError('no')

    with pytest.raises(SystemExit), collect_notes() as notes:
        run_tool(work)
    assert notes == ['1 of 2 cells are dropped']
    assert capsys.readouterr().err.splitlines()[-4:] == [
        'Dropped, ignored or noticed:',
        '',
        '- 1 of 2 cells are dropped',
        'error: no',
    ]
    with collect_notes() as others:
        pass
    assert not others and not logging.getLogger('sartorius').handlers


def test_a_message_with_a_value_of_a_million_characters_keeps_its_ends() -> None:
    text = str(InputError(f'a.csv, row 2: id {"x" * 1_000_000!r} is unknown; correct it\nsecond line'))
    first, second = text.split('\n')
    assert first.startswith('a.csv, row 2: id ') and first.endswith('is unknown; correct it') and len(first) < 1100
    assert second == 'second line'
