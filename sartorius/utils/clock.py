"""The date that files of the project carry."""

import os
from datetime import UTC, datetime

from sartorius.utils.errors import UsageError

VARIABLE = 'SOURCE_DATE_EPOCH'


def date_of_files() -> datetime:
    """Now, to be written into a file; all dates in files of the project come from here.

    ``SOURCE_DATE_EPOCH``, seconds since 1970, takes its place where it is set, so that a page made again has the same
    bytes (https://reproducible-builds.org/specs/source-date-epoch).

    Raises:
        UsageError: The variable holds something else.
    """
    given = os.environ.get(VARIABLE)
    if not given:
        return datetime.now(UTC)
    try:
        return datetime.fromtimestamp(int(given), UTC)
    except (ValueError, OverflowError, OSError):
        raise UsageError(f'{VARIABLE} is {given!r}; set it to seconds since 1970, or unset it') from None
