"""Moments as operators write them."""

from datetime import UTC, datetime, timedelta

import pytest

from tablesnap.cli.line.moments import moment
from tablesnap.errors import UsageError

NOW = datetime(2026, 11, 22, 20, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-22T20:25:17Z", datetime(2026, 11, 22, 20, 25, 17, tzinfo=UTC)),
        ("2026-11-22T20:25:17.123456Z", datetime(2026, 11, 22, 20, 25, 17, 123456, tzinfo=UTC)),
        ("2026-11-22 20:25:17", datetime(2026, 11, 22, 20, 25, 17, tzinfo=UTC)),
        ("2026-11-22T21:25+01:00", datetime(2026, 11, 22, 20, 25, tzinfo=UTC)),
        ("2026-11-21", datetime(2026, 11, 21, tzinfo=UTC)),
        ("2h ago", NOW - timedelta(hours=2)),
        ("1.5 d ago", NOW - timedelta(hours=36)),
        (" 90m  ago ", NOW - timedelta(minutes=90)),
        ("3 days ago", NOW - timedelta(days=3)),
        ("1 hour ago", NOW - timedelta(hours=1)),
        ("45 min ago", NOW - timedelta(minutes=45)),
        ("2 Weeks ago", NOW - timedelta(weeks=2)),
        ("2 months ago", NOW - timedelta(days=60)),
        ("5y ago", NOW - timedelta(days=5 * 365)),
    ],
)
def test_moments_are_understood(text: str, expected: datetime) -> None:
    assert moment(text, NOW) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yesterday",
        "2h",
        "-2h ago",
        "2026-13-01",
        "3 moons ago",
        "5ms ago",
        "999999999w ago",
        "0001-01-01T00:00+23:00",
    ],
)
def test_what_is_no_moment_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(UsageError, match="is no moment; write 2026-11-22T20:25:00Z"):
        moment(text, NOW)


def test_a_moment_to_come_is_refused() -> None:
    with pytest.raises(UsageError, match="is still to come"):
        moment("2026-11-22T20:30:01Z", NOW)
