"""Caches for secrets: thread-safe, fork-safe, bounded.

All copy what they are given and what they return: changing a returned dict never changes the cache. What has expired
is never returned by ``get``; it is kept for a while all the same, for ``get_stale``, which the client asks only when
Vault is unavailable.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from gds_vault import _fork
from gds_vault._values import own
from gds_vault.rotation import calculate_rotation_ttl

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Cache", "NoOpCache", "RotationAwareCache", "SecretCache", "StaleCache", "TTLCache"]

_log = logging.getLogger("gds_vault")

_FOREVER = float("inf")

#: How long something expired may stand in for an answer: over a night's outage until somebody is at work again.
_MAX_STALE = 86_400.0


class Cache(Protocol):
    """What ``cache=`` takes: any object with these methods.

    If its ``set`` has parameters ``ttl`` or ``rotation_metadata``, they are given when they are known. Secrets with a
    lease are kept only in a cache that takes a ``ttl``.
    """

    def get(self, key: str) -> dict[str, Any] | None:
        """Return a value that is still good."""

    def set(self, key: str, value: dict[str, Any]) -> None:
        """Keep a value."""

    def remove(self, key: str) -> bool:
        """Drop a value; tell whether it was there."""
        ...

    def clear(self) -> None:
        """Drop everything."""

    def get_stats(self) -> dict[str, Any]:
        """Return figures."""
        ...

    def __len__(self) -> int:
        """Count the values that are still good."""
        ...

    def __contains__(self, key: object) -> bool:
        """Tell whether a value is there and still good."""
        ...


@runtime_checkable
class StaleCache(Protocol):
    """A cache that also keeps what has expired, for when Vault is unavailable. Your own may do so as well."""

    def get_stale(self, key: str) -> tuple[dict[str, Any], float] | None:
        """Return a value, even an expired one, with the seconds since it was stored; ``None`` past its limit."""


class _Entry:
    """A value and its deadlines, on the monotonic clock."""

    __slots__ = ("fresh_until", "rotation", "stale_until", "stored_at", "value")

    def __init__(self, value: Any, now: float, ttl: float, stale: float) -> None:  # noqa: ANN401
        self.value = value
        self.stored_at = now
        self.fresh_until = now + ttl
        self.stale_until = self.fresh_until if stale <= 0 else max(self.fresh_until, now + stale)
        self.rotation: dict[str, Any] | None = None


class CopyingCache(_fork.ForkAware):
    """Entries under a lock, copied on their way in and out. The oldest goes first when there is no room."""

    def __init__(self, max_size: int, max_stale: float = 0.0) -> None:
        if max_size < 1:
            raise ValueError("max_size must be 1 or more")
        self.max_size = max_size
        self.max_stale = max_stale
        self._lock = threading.Lock()
        self._entries: OrderedDict[str, _Entry] = OrderedDict()
        self._hits = 0
        self._misses = 0
        _fork.register(self)

    def get(self, key: str) -> dict[str, Any] | None:
        """Return a copy of a value that is still good, else ``None``."""
        with self._lock:
            entry = self._entries.get(key)
            if entry is None or entry.fresh_until <= _now():
                self._misses += 1
                return None
            self._hits += 1
            value = entry.value
        copy: dict[str, Any] = own(value)
        return copy

    def get_stale(self, key: str) -> tuple[dict[str, Any], float] | None:
        """Return a copy of a value, even an expired one, with its age in seconds; ``None`` past ``max_stale``."""
        now = _now()
        with self._lock:
            entry = self._entries.get(key)
            if entry is None or entry.stale_until <= now:
                return None
        return own(entry.value), now - entry.stored_at

    def remove(self, key: str) -> bool:
        """Drop a value for good; tell whether it was there and still good."""
        with self._lock:
            entry = self._entries.pop(key, None)
            return entry is not None and entry.fresh_until > _now()

    def clear(self) -> None:
        """Drop everything, and begin the figures anew."""
        with self._lock:
            self._entries.clear()
            self._hits = self._misses = 0

    def get_stats(self) -> dict[str, Any]:
        """Return ``size``, ``max_size``, ``hits``, ``misses``, ``hit_rate`` (0 to 1) and ``keys``."""
        with self._lock:
            fresh = self._fresh(_now())
            asked = self._hits + self._misses
            return {
                "size": len(fresh),
                "max_size": self.max_size,
                "hits": self._hits,
                "misses": self._misses,
                "hit_rate": self._hits / asked if asked else 0.0,
                "keys": list(fresh),
            }

    def __len__(self) -> int:
        """Count the values that are still good."""
        with self._lock:
            return len(self._fresh(_now()))

    def __contains__(self, key: object) -> bool:
        """Tell whether a value is there and still good."""
        with self._lock:
            entry = self._entries.get(key)  # type: ignore[call-overload]
            return entry is not None and entry.fresh_until > _now()

    def __repr__(self) -> str:
        """Show figures, no values."""
        return f"{type(self).__name__}(size={len(self)}, max_size={self.max_size})"

    def _put(self, key: str, entry: _Entry) -> None:
        with self._lock:
            self._entries.pop(key, None)
            self._entries[key] = entry
            while len(self._entries) > self.max_size:
                self._entries.popitem(last=False)

    def _fresh(self, now: float) -> dict[str, _Entry]:
        return {key: entry for key, entry in self._entries.items() if entry.fresh_until > now}

    def _after_fork_in_child(self) -> None:
        if not self._lock.acquire(blocking=False):
            self._entries = OrderedDict()
        self._lock = threading.Lock()


class SecretCache(CopyingCache):
    """Keeps values until there is no room; they do not expire unless they are stored with a ``ttl``."""

    def __init__(self, max_size: int = 100) -> None:
        super().__init__(max_size)

    def set(self, key: str, value: dict[str, Any], ttl: float | None = None) -> None:
        """Keep a copy of a value, for ``ttl`` seconds or without end."""
        self._put(key, _Entry(own(value), _now(), _FOREVER if ttl is None else ttl, 0.0))


class TTLCache(CopyingCache):
    """Keeps values for ``default_ttl`` seconds, or as long as is said with each.

    For ``max_stale`` seconds after they were stored they can stand in when Vault is unavailable. A ``ttl`` of 0 or
    less means: expired at once. Leased secrets are given with their ``ttl`` and ``expires=True``: they are of no use
    afterwards.
    """

    def __init__(self, max_size: int = 100, default_ttl: float = 300, *, max_stale: float = _MAX_STALE) -> None:
        super().__init__(max_size, max_stale)
        self.default_ttl = default_ttl

    def set(
        self,
        key: str,
        value: dict[str, Any],
        ttl: float | None = None,
        rotation_metadata: Mapping[str, Any] | None = None,
        *,
        expires: bool = False,
    ) -> None:
        """Keep a copy of a value, no longer than to its next rotation if that is known and no ``ttl`` is given."""
        if ttl is None:
            ttl = self.default_ttl
            rotation = _rotation_ttl(rotation_metadata, 0)
            if rotation:  # 0: it is overdue; the usual time is soon enough to look again.
                ttl = min(ttl, rotation)
        self._put(key, _Entry(own(value), _now(), ttl, 0.0 if expires else self.max_stale))

    def cleanup_expired(self) -> int:
        """Drop what has expired, so that it cannot stand in either; return how many values that were."""
        with self._lock:
            fresh = self._fresh(_now())
            dropped = len(self._entries) - len(fresh)
            self._entries = OrderedDict(fresh)
            return dropped

    def get_stats(self) -> dict[str, Any]:
        """Return the usual figures, ``default_ttl`` and ``avg_remaining_ttl`` (seconds)."""
        stats = super().get_stats()
        now = _now()
        with self._lock:
            left = [entry.fresh_until - now for entry in self._fresh(now).values()]
        stats["default_ttl"] = self.default_ttl
        stats["avg_remaining_ttl"] = sum(left) / len(left) if left else 0.0
        return stats


class RotationAwareCache(CopyingCache):
    """Keeps values until ``buffer_minutes`` before their next rotation; without a schedule, for ``fallback_ttl``.

    Within the buffer, and when a rotation is overdue, a value counts as expired, so that it is read again.
    """

    def __init__(
        self,
        max_size: int = 100,
        buffer_minutes: float = 10,
        fallback_ttl: float = 300,
        *,
        max_stale: float = _MAX_STALE,
    ) -> None:
        super().__init__(max_size, max_stale)
        self.buffer_minutes = buffer_minutes
        self.fallback_ttl = fallback_ttl

    def set(
        self,
        key: str,
        value: dict[str, Any],
        rotation_metadata: Mapping[str, Any] | None = None,
        ttl: float | None = None,
        *,
        expires: bool = False,
    ) -> None:
        """Keep a copy of a value. A ``ttl`` counts before the schedule."""
        rotation = _rotation_ttl(rotation_metadata, self.buffer_minutes)
        if ttl is None:
            ttl = self.fallback_ttl if rotation is None else rotation
        entry = _Entry(own(value), _now(), ttl, 0.0 if expires else self.max_stale)
        if rotation is not None and rotation_metadata is not None:
            entry.rotation = dict(rotation_metadata)
        self._put(key, entry)

    def force_refresh_check(self, key: str) -> bool:
        """Tell whether a value has to be read again: it is not there, has expired, or its rotation is near or past."""
        with self._lock:
            entry = self._entries.get(key)
        return entry is None or entry.fresh_until <= _now() or self._is_due(entry)

    def get_rotation_info(self, key: str) -> dict[str, Any] | None:
        """Return what is known of a value's rotation; ``None`` without a schedule.

        ``last_rotation`` and ``schedule`` as they were given, ``ttl_remaining`` (seconds until it is to be read
        again) and ``needs_refresh``.
        """
        with self._lock:
            entry = self._entries.get(key)
        if entry is None or entry.rotation is None:
            return None
        left = _rotation_ttl(entry.rotation, self.buffer_minutes) or 0
        return {**entry.rotation, "ttl_remaining": left, "needs_refresh": left <= 0}

    def get_stats(self) -> dict[str, Any]:
        """Return the usual figures and ``buffer_minutes``, ``fallback_ttl``, ``secrets_with_rotation``, …."""
        stats = super().get_stats()
        with self._lock:
            rotated = [entry for entry in self._entries.values() if entry.rotation is not None]
        stats["buffer_minutes"] = self.buffer_minutes
        stats["fallback_ttl"] = self.fallback_ttl
        stats["secrets_with_rotation"] = len(rotated)
        stats["secrets_needing_refresh"] = sum(self._is_due(entry) for entry in rotated)
        return stats

    def _is_due(self, entry: _Entry) -> bool:
        return entry.rotation is not None and not _rotation_ttl(entry.rotation, self.buffer_minutes)


class NoOpCache:
    """Keeps nothing."""

    def get(self, key: str) -> None:
        """Return ``None``."""

    def set(self, key: str, value: dict[str, Any], ttl: float | None = None) -> None:
        """Do nothing."""

    def remove(self, key: str) -> bool:  # noqa: ARG002 - as the other caches
        """Return ``False``."""
        return False

    def clear(self) -> None:
        """Do nothing."""

    def get_stats(self) -> dict[str, Any]:
        """Return the usual figures, all 0."""
        return {"size": 0, "max_size": 0, "hits": 0, "misses": 0, "hit_rate": 0.0, "keys": []}

    def __len__(self) -> int:
        """Return 0."""
        return 0

    def __contains__(self, key: object) -> bool:
        """Return ``False``."""
        return False

    def __repr__(self) -> str:
        """Show the name."""
        return "NoOpCache()"


def _now() -> float:
    return time.monotonic()


def _rotation_ttl(metadata: Mapping[str, Any] | None, buffer_minutes: float) -> int | None:
    """Return the seconds until a value is to be read again; ``None`` without a schedule that can be read."""
    if not metadata or not metadata.get("last_rotation") or not metadata.get("schedule"):
        return None
    try:
        return calculate_rotation_ttl(metadata["last_rotation"], metadata["schedule"], buffer_minutes)
    except (ValueError, TypeError, AttributeError):
        _log.warning("rotation metadata cannot be read; the usual time to live is used")
        return None
