"""Options that several command lines share."""

import argparse

from sartorius.export.formats import DEFAULT_FORMATS, FORMATS
from sartorius.utils.cli import EXPORT_FORMATS, add_format_option


def test_help_names_the_formats_that_there_are() -> None:
    parser = argparse.ArgumentParser()
    add_format_option(parser)
    assert list(EXPORT_FORMATS) == list(FORMATS)
    assert tuple(parser.parse_args([]).formats) == DEFAULT_FORMATS
