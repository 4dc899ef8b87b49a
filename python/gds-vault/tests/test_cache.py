"""The caches."""

from __future__ import annotations

import threading
from typing import Any, Union

import pytest

from gds_vault.cache import Cache, NoOpCache, RotationAwareCache, SecretCache, TTLCache

AnyCache = Union[SecretCache, TTLCache, RotationAwareCache]

DAILY = {"last_rotation": "2026-01-31T00:00:00Z", "schedule": "0 1 * * *"}


class Clock:
    """Both clocks, moved by hand."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.monotonic = 1_000.0
        self.wall = 1_769_817_600.0  # 2026-01-31T00:00:00Z
        monkeypatch.setattr("gds_vault.cache._now", lambda: self.monotonic)
        monkeypatch.setattr("gds_vault.rotation.time.time", lambda: self.wall)

    def advance(self, seconds: float) -> None:
        self.monotonic += seconds
        self.wall += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


all_caches = pytest.mark.parametrize("make", [SecretCache, TTLCache, RotationAwareCache])


@all_caches
def test_set_get_remove_clear(make: type[AnyCache]) -> None:
    cache = make()
    assert cache.get("a") is None
    cache.set("a", {"x": 1})
    cache.set("b", {"x": 2})
    assert cache.get("a") == {"x": 1}
    assert (len(cache), "a" in cache, "c" in cache) == (2, True, False)
    assert cache.remove("a") is True
    assert cache.remove("a") is False
    cache.clear()
    assert (len(cache), cache.get("b")) == (0, None)


@all_caches
def test_dicts_are_the_callers_own(make: type[AnyCache]) -> None:
    cache = make()
    given: dict[str, Any] = {"x": {"y": [1, {"z": 2}]}}
    cache.set("a", given)
    given["x"]["y"].append("spoilt")
    got = cache.get("a")
    assert got == {"x": {"y": [1, {"z": 2}]}}
    got["x"]["y"][1]["z"] = "spoilt"
    assert cache.get("a") == {"x": {"y": [1, {"z": 2}]}}


@all_caches
def test_the_oldest_goes_first(make: type[AnyCache]) -> None:
    cache = make(max_size=2)
    for key in "abac":
        cache.set(key, {})
    assert cache.get_stats()["keys"] == ["a", "c"]


@all_caches
def test_stats(make: type[AnyCache]) -> None:
    cache = make(max_size=7)
    assert cache.get_stats()["hit_rate"] == 0.0
    cache.set("a", {})
    for key in "aab":
        cache.get(key)
    stats = cache.get_stats()
    expected = {"size": 1, "max_size": 7, "hits": 2, "misses": 1, "keys": ["a"]}
    assert {name: stats[name] for name in expected} == expected
    assert stats["hit_rate"] == pytest.approx(2 / 3)


@all_caches
def test_repr_shows_no_value(make: type[AnyCache]) -> None:
    cache = make()
    cache.set("a", {"x": "canary"})
    assert "canary" not in repr(cache)
    assert "size=1" in repr(cache)


@all_caches
def test_room_for_nothing_is_refused(make: type[AnyCache]) -> None:
    with pytest.raises(ValueError, match="max_size"):
        make(max_size=0)


def test_secret_cache_keeps_without_end_unless_told(clock: Clock) -> None:
    cache = SecretCache()
    cache.set("a", {"x": 1})
    cache.set("leased", {"x": 1}, ttl=10)
    clock.advance(10)
    assert cache.get("leased") is None
    clock.advance(1e9)
    assert cache.get("a") == {"x": 1}


def test_ttl_expires(clock: Clock) -> None:
    cache = TTLCache(default_ttl=100)
    cache.set("a", {})
    cache.set("b", {}, ttl=10)
    clock.advance(9.9)
    assert ("a" in cache, "b" in cache) == (True, True)
    clock.advance(0.1)
    assert ("a" in cache, "b" in cache, len(cache)) == (True, False, 1)
    clock.advance(90)
    assert cache.get("a") is None
    assert cache.remove("a") is False


@pytest.mark.parametrize("ttl", [0, -5])
def test_no_ttl_is_expired_at_once(ttl: float, clock: Clock) -> None:
    cache = TTLCache()
    cache.set("a", {}, ttl=ttl)
    assert cache.get("a") is None


def test_expired_entries_can_stand_in_until_their_limit(clock: Clock) -> None:
    cache = TTLCache(default_ttl=10, max_stale=100)
    cache.set("a", {"x": 1})
    clock.advance(60)
    assert cache.get("a") is None
    assert cache.get_stale("a") == ({"x": 1}, 60)
    clock.advance(40)
    assert cache.get_stale("a") is None
    assert cache.get_stale("b") is None


def test_what_ends_or_was_removed_cannot_stand_in(clock: Clock) -> None:
    cache = TTLCache(default_ttl=10)
    cache.set("leased", {}, ttl=5, expires=True)
    cache.set("removed", {})
    clock.advance(20)
    cache.remove("removed")
    assert cache.get_stale("leased") is None
    assert cache.get_stale("removed") is None
    assert TTLCache(max_stale=0).get_stale("a") is None


def test_cleanup_expired_frees_for_good(clock: Clock) -> None:
    cache = TTLCache(default_ttl=10)
    for key in "abc":
        cache.set(key, {}, ttl=5 if key != "c" else None)
    clock.advance(5)
    assert cache.cleanup_expired() == 2
    assert cache.cleanup_expired() == 0
    assert cache.get_stale("a") is None
    assert "c" in cache


def test_ttl_stats(clock: Clock) -> None:
    cache = TTLCache(default_ttl=100)
    assert cache.get_stats()["avg_remaining_ttl"] == 0.0
    cache.set("a", {})
    cache.set("b", {}, ttl=50)
    clock.advance(10)
    stats = cache.get_stats()
    assert (stats["default_ttl"], stats["avg_remaining_ttl"]) == (100, 65)


def test_ttl_cache_looks_at_the_rotation(clock: Clock) -> None:
    cache = TTLCache(default_ttl=7_200)
    cache.set("a", {}, rotation_metadata=DAILY)
    cache.set("overdue", {}, rotation_metadata={**DAILY, "last_rotation": "2025-01-01T00:00:00Z"})
    clock.advance(3_600)
    assert ("a" in cache, "overdue" in cache) == (False, True)


def test_rotation_aware(clock: Clock) -> None:
    cache = RotationAwareCache(buffer_minutes=10, fallback_ttl=60)
    cache.set("rotated", {"x": 1}, rotation_metadata=DAILY)
    cache.set("plain", {"x": 2})
    cache.set("told", {"x": 3}, rotation_metadata=DAILY, ttl=30)
    assert cache.get_rotation_info("rotated") == {**DAILY, "ttl_remaining": 3_000, "needs_refresh": False}
    assert cache.get_rotation_info("plain") is None
    assert cache.get_rotation_info("missing") is None
    assert [cache.force_refresh_check(key) for key in ("rotated", "plain", "missing")] == [False, False, True]
    clock.advance(60)
    assert [key in cache for key in ("rotated", "plain", "told")] == [True, False, False]
    clock.advance(2_940)
    assert cache.get("rotated") is None
    assert cache.force_refresh_check("rotated")
    info = cache.get_rotation_info("rotated")
    assert info is not None
    assert info["needs_refresh"]
    assert cache.get_stale("rotated") == ({"x": 1}, 3_000)


def test_rotation_stats(clock: Clock) -> None:
    cache = RotationAwareCache()
    cache.set("due", {}, rotation_metadata={**DAILY, "last_rotation": "2025-01-01T00:00:00Z"})
    cache.set("fine", {}, rotation_metadata=DAILY)
    cache.set("plain", {})
    stats = cache.get_stats()
    names = ("buffer_minutes", "fallback_ttl", "secrets_with_rotation", "secrets_needing_refresh")
    assert [stats[name] for name in names] == [10, 300, 2, 1]


@pytest.mark.parametrize(
    "metadata",
    [{}, {"schedule": "0 1 * * *"}, {**DAILY, "schedule": "often"}, {**DAILY, "last_rotation": "then"}],
)
def test_metadata_that_cannot_be_read_means_the_usual_time(metadata: dict[str, str], clock: Clock) -> None:
    cache = RotationAwareCache(fallback_ttl=60)
    cache.set("a", {}, rotation_metadata=metadata)
    clock.advance(59)
    assert "a" in cache
    clock.advance(1)
    assert "a" not in cache


def test_no_op_keeps_nothing() -> None:
    cache: Cache = NoOpCache()
    cache.set("a", {"x": 1})
    assert cache.get("a") is None
    assert (len(cache), "a" in cache, cache.remove("a"), cache.get_stats()["size"]) == (0, False, False, 0)
    cache.clear()
    assert repr(cache) == "NoOpCache()"


@all_caches
def test_many_threads(make: type[AnyCache]) -> None:
    cache = make(max_size=8)
    failures: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for turn in range(300):
                key = f"k{(number + turn) % 16}"
                cache.set(key, {"n": key})
                got = cache.get(key)
                assert got is None or got == {"n": key}
                cache.remove(f"k{turn % 16}")
                cache.get_stats()
        except BaseException as error:  # noqa: BLE001 - told to the test's own thread
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(cache) <= 8
