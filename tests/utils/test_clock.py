"""The date of files."""

from datetime import UTC, datetime, timedelta

import pytest

from sartorius.utils.clock import date_of_files
from sartorius.utils.errors import UsageError


def test_date_of_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('SOURCE_DATE_EPOCH', '86400')
    assert date_of_files() == datetime(1970, 1, 2, tzinfo=UTC)
    monkeypatch.delenv('SOURCE_DATE_EPOCH')
    assert abs(datetime.now(UTC) - date_of_files()) < timedelta(minutes=1)
    monkeypatch.setenv('SOURCE_DATE_EPOCH', 'yesterday')
    with pytest.raises(UsageError, match="SOURCE_DATE_EPOCH is 'yesterday'"):
        date_of_files()
