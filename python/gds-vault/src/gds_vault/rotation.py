"""When a secret that is rotated on a schedule has to be read again.

All times are UTC: a time without an offset is taken as UTC, and schedules are read in UTC, as Vault reads them.
"""

from __future__ import annotations

import re
import time
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Union, cast

from gds_vault._native import cron_next, cron_previous

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "CronParser",
    "Time",
    "calculate_rotation_ttl",
    "parse_vault_rotation_metadata",
    "should_refresh_secret",
]

#: A time: a datetime, seconds since 1970, or RFC 3339 text.
Time = Union[datetime, float, str]

#: Python before 3.11 reads fractions of 3 or 6 digits only; Vault writes up to 9.
_FRACTION = re.compile(r"(\.\d{1,6})\d*")


class CronParser:
    """A cron schedule of five fields (minute, hour, day of month, month, day of week), in UTC.

    Ranges, lists, steps, names (``MON``, ``JAN``) and nicknames such as ``@daily`` are understood. Raises
    ``ValueError`` for anything else.
    """

    def __init__(self, schedule: str) -> None:
        self.schedule = schedule.strip()
        cron_next(self.schedule, 0.0)

    def next_after(self, moment: Time) -> datetime:
        """Return the first time after a moment that the schedule names."""
        return _datetime(cron_next(self.schedule, _seconds(moment)))

    def previous(self, moment: Time) -> datetime:
        """Return the last time at or before a moment that the schedule names."""
        return _datetime(cron_previous(self.schedule, _seconds(moment)))

    def get_next(self, moment: Time | None = None) -> datetime:
        """Return the first time after a moment, or after now."""
        return self.next_after(time.time() if moment is None else moment)

    def __repr__(self) -> str:
        """Show the schedule."""
        return f"CronParser({self.schedule!r})"


def calculate_rotation_ttl(
    last_rotation: Time,
    schedule: str,
    buffer_minutes: float = 10,
    current_time: Time | None = None,
) -> int:
    """Return for how many seconds a secret may be kept: until ``buffer_minutes`` before its next rotation.

    0 if that moment has come. Raises ``ValueError`` for a time or schedule that cannot be read.
    """
    now = time.time() if current_time is None else _seconds(current_time)
    rotation = cron_next(schedule.strip(), _seconds(last_rotation))
    return max(0, int(rotation - buffer_minutes * 60 - now))


def should_refresh_secret(
    last_rotation: Time,
    schedule: str,
    buffer_minutes: float = 10,
    current_time: Time | None = None,
) -> bool:
    """Tell whether a secret has to be read again: its next rotation is less than ``buffer_minutes`` away, or past."""
    return calculate_rotation_ttl(last_rotation, schedule, buffer_minutes, current_time) <= 0


def parse_vault_rotation_metadata(response: Mapping[str, Any]) -> dict[str, Any] | None:
    """Find ``last_rotation`` and ``schedule`` in what Vault answered.

    They are looked for in the metadata of a KV v2 answer (``data.metadata``), in the answer of its ``metadata/``
    path (``data``), and in the ``custom_metadata`` of either. ``None`` unless both are there.
    """
    for place in _places(response):
        last_rotation, schedule = place.get("last_rotation"), place.get("schedule")
        if last_rotation and schedule:
            return {"last_rotation": last_rotation, "schedule": schedule}
    return None


def _places(response: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    data = _mapping(response.get("data"))
    found = [_mapping(data.get("metadata")), _mapping(response.get("metadata")), data, response]
    return [place for outer in found for place in (outer, _mapping(outer.get("custom_metadata")))]


def _mapping(value: object) -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", value) if isinstance(value, dict) else {}


def _seconds(moment: Time) -> float:
    if isinstance(moment, str):
        moment = _parse(moment)
    if isinstance(moment, datetime):
        aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=timezone.utc)
        return aware.timestamp()
    return float(moment)


def _parse(text: str) -> datetime:
    text = text.strip()
    if text.endswith(("Z", "z")):
        text = text[:-1] + "+00:00"
    fraction = _FRACTION.search(text)
    if fraction:
        text = text[: fraction.start()] + fraction.group(1).ljust(7, "0") + text[fraction.end() :]
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise ValueError("this is not a time: RFC 3339 is expected, such as 2026-01-31T12:00:00Z") from None


def _datetime(epoch: float) -> datetime:
    return datetime.fromtimestamp(epoch, timezone.utc)
