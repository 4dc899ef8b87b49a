"""Rotation arithmetic, in UTC."""

from __future__ import annotations

import time
from datetime import datetime, timedelta, timezone

import pytest

from gds_vault.rotation import (
    CronParser,
    calculate_rotation_ttl,
    parse_vault_rotation_metadata,
    should_refresh_secret,
)

UTC = timezone.utc
MIDNIGHT = datetime(2026, 1, 31, tzinfo=UTC)


@pytest.mark.parametrize(
    ("schedule", "after", "expected"),
    [
        ("0 2 * * *", MIDNIGHT, datetime(2026, 1, 31, 2, tzinfo=UTC)),
        ("0 0 * * *", MIDNIGHT, datetime(2026, 2, 1, tzinfo=UTC)),
        ("*/15 * * * *", "2026-01-31T10:07:30Z", datetime(2026, 1, 31, 10, 15, tzinfo=UTC)),
        ("0 9 * * MON-FRI", MIDNIGHT, datetime(2026, 2, 2, 9, tzinfo=UTC)),
        ("0 0 29 FEB *", MIDNIGHT, datetime(2028, 2, 29, tzinfo=UTC)),
        ("30 4 1,15 * *", MIDNIGHT, datetime(2026, 2, 1, 4, 30, tzinfo=UTC)),
        ("@daily", MIDNIGHT, datetime(2026, 2, 1, tzinfo=UTC)),
    ],
)
def test_next_time(schedule: str, after: datetime | str, expected: datetime) -> None:
    assert CronParser(schedule).next_after(after) == expected
    assert CronParser(schedule).previous(expected) == expected


def test_get_next_is_from_now() -> None:
    assert CronParser("* * * * *").get_next() > datetime.now(UTC)
    assert CronParser("0 2 * * *").get_next(MIDNIGHT) == MIDNIGHT + timedelta(hours=2)
    assert repr(CronParser(" 0 2 * * * ")) == "CronParser('0 2 * * *')"


@pytest.mark.parametrize("schedule", ["", "nonsense", "61 * * * *", "* * * *", "* * * * * *", "0 0 31 2 *"])
def test_bad_schedules(schedule: str) -> None:
    with pytest.raises(ValueError, match="schedule"):
        CronParser(schedule)


@pytest.mark.parametrize(
    "moment",
    [
        datetime(2026, 1, 31, 12, 30, tzinfo=UTC),
        datetime(2026, 1, 31, 12, 30),  # noqa: DTZ001 - naive is what is tested
        datetime(2026, 1, 31, 14, 30, tzinfo=timezone(timedelta(hours=2))),
        "2026-01-31T12:30:00Z",
        "2026-01-31T12:30:00.123456789Z",
        "2026-01-31T12:30:00.5+00:00",
        "2026-01-31T14:30:00+02:00",
        "2026-01-31T12:30:00",
        1_769_862_600,
    ],
)
def test_every_spelling_of_a_moment_is_utc(moment: datetime | str | float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Pacific/Auckland")
    time.tzset()
    try:
        now = datetime(2026, 1, 31, 12, 30, tzinfo=UTC)
        assert calculate_rotation_ttl(moment, "0 13 * * *", buffer_minutes=10, current_time=now) == 20 * 60
    finally:
        monkeypatch.undo()
        time.tzset()


def test_within_the_buffer_and_overdue_there_is_no_time_left() -> None:
    last = MIDNIGHT
    for minutes, ttl in [(0, 50 * 60), (49, 60), (50, 0), (59, 0), (61, 0), (600, 0)]:
        now = MIDNIGHT + timedelta(minutes=minutes)
        assert calculate_rotation_ttl(last, "0 1 * * *", 10, now) == ttl
        assert should_refresh_secret(last, "0 1 * * *", 10, now) is (ttl == 0)


def test_now_is_the_default() -> None:
    last = datetime.now(UTC)
    assert 0 <= calculate_rotation_ttl(last, "0 0 1 1 *", 0) <= 366 * 86_400
    assert should_refresh_secret(0.0, "* * * * *")


@pytest.mark.parametrize("moment", ["yesterday", ""])
def test_bad_times(moment: str) -> None:
    with pytest.raises(ValueError, match="not a time"):
        calculate_rotation_ttl(moment, "0 1 * * *")


FACTS = {"last_rotation": "2026-01-31T00:00:00Z", "schedule": "0 1 * * *"}


@pytest.mark.parametrize(
    "response",
    [
        {"data": {"data": {"password": "x"}, "metadata": {"version": 1, **FACTS}}},
        {"data": {"data": {}, "metadata": {"version": 1, "custom_metadata": FACTS}}},
        {"data": {"custom_metadata": FACTS, "versions": {}}},
        {"data": dict(FACTS)},
        {"metadata": {"custom_metadata": FACTS}},
    ],
)
def test_metadata_is_found(response: dict[str, object]) -> None:
    assert parse_vault_rotation_metadata(response) == FACTS


@pytest.mark.parametrize(
    "response",
    [{}, {"data": None}, {"data": {"metadata": {"custom_metadata": None}}}, {"data": {"schedule": "0 1 * * *"}}],
)
def test_metadata_is_missing(response: dict[str, object]) -> None:
    assert parse_vault_rotation_metadata(response) is None
