from __future__ import annotations

import gc
import threading
import weakref
from typing import Any

import pytest

from secrets_service.cache import SecretCache

from .conftest import CANARY


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_cache_set_and_get() -> None:
    """Test basic cache operations."""
    cache = SecretCache(default_ttl_seconds=60)
    cache.set("key", {"value": "test"})
    assert cache.get("key") == {"value": "test"}
    assert cache.get("other") is None


def test_cache_expiration(clock: Clock) -> None:
    """Test that cached values expire."""
    cache = SecretCache(default_ttl_seconds=60, clock=clock)
    cache.set("key", "value")
    clock.now += 59.9
    assert cache.get("key") == "value"
    assert "key" in cache
    clock.now += 0.1
    assert cache.get("key") is None
    assert "key" not in cache
    assert len(cache) == 0


def test_expiration_by_the_real_clock() -> None:
    cache = SecretCache(default_ttl_seconds=1e-6)
    cache.set("key", "value")
    while "key" in cache:  # a microsecond, however slow the machine is
        pass
    assert cache.get("key") is None


def test_per_key_ttl(clock: Clock) -> None:
    cache = SecretCache(default_ttl_seconds=10, clock=clock)
    cache.set("default", 1)
    cache.set("short", 2, ttl_seconds=5)
    cache.set("long", 3, 20)
    clock.now += 5
    assert [cache.get(key) for key in ("default", "short", "long")] == [1, None, 3]
    clock.now += 5
    assert [cache.get(key) for key in ("default", "short", "long")] == [None, None, 3]
    assert len(cache) == 1


@pytest.mark.parametrize("ttl", [0, -1, -1e300, float("-inf")])
def test_a_ttl_of_zero_or_less_is_expired_at_once(ttl: float) -> None:
    cache = SecretCache()
    cache.set("key", "old")
    cache.set("key", "new", ttl_seconds=ttl)
    assert cache.get("key") is None
    never = SecretCache(default_ttl_seconds=ttl)
    never.set("key", "value")
    assert never.get("key") is None
    never.set("key", "value", ttl_seconds=60)
    assert never.get("key") == "value"


def test_huge_ttls_and_no_number() -> None:
    cache = SecretCache(default_ttl_seconds=float("inf"))
    cache.set("key", "value", ttl_seconds=1e300)
    assert cache.get("key") == "value"
    with pytest.raises(ValueError, match="NaN"):
        cache.set("key", "value", ttl_seconds=float("nan"))
    with pytest.raises(ValueError, match="NaN"):
        SecretCache(default_ttl_seconds=float("nan"))


def test_setting_again_starts_a_new_ttl(clock: Clock) -> None:
    cache = SecretCache(default_ttl_seconds=10, clock=clock)
    cache.set("key", "old")
    clock.now += 8
    cache.set("key", "new")
    clock.now += 8
    assert cache.get("key") == "new"


def test_delete_clear_len_contains_and_truth() -> None:
    cache = SecretCache()
    assert bool(cache)
    cache.set("a", 1)
    cache.set("b", 2)
    assert len(cache) == 2
    cache.delete("a")
    cache.delete("a")
    assert ("a" in cache, "b" in cache, len(cache)) == (False, True, 1)
    cache.clear()
    assert (len(cache), cache.get("b")) == (0, None)


@pytest.mark.parametrize("value", [None, 0, b"bytes", object(), [1], {"a": {"b": ()}}, lambda: 1])
def test_any_value_comes_back_as_it_is(value: object) -> None:
    cache = SecretCache()
    cache.set("key", value)
    assert cache.get("key") is value
    assert "key" in cache


def test_keys_are_text() -> None:
    cache = SecretCache()
    with pytest.raises(TypeError):
        cache.get(1)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        cache.set(1, 1)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        cache.delete(1)  # type: ignore[arg-type]


def test_at_most_so_many_entries(clock: Clock) -> None:
    cache = SecretCache(max_entries=2, clock=clock)
    cache.set("a", 1, ttl_seconds=1)
    cache.set("b", 2)
    clock.now += 2
    cache.set("c", 3)  # the expired one goes first
    assert (cache.get("b"), cache.get("c")) == (2, 3)
    cache.set("b", 4)  # not a new key: nothing goes, but it is the newest now
    cache.set("d", 5)
    assert [cache.get(key) for key in "abcd"] == [None, 4, None, 5]
    with pytest.raises(ValueError, match="max_entries"):
        SecretCache(max_entries=0)


def test_cache_thread_safety() -> None:
    """Test concurrent cache access: no lost write, no torn value, no missing key that was only set anew."""
    cache = SecretCache(max_entries=100_000)
    cache.set("shared", ("x", "x"))
    errors: list[str] = []
    start = threading.Barrier(16)

    def work(name: int) -> None:
        start.wait()
        for i in range(500):
            cache.set(f"{name}-{i}", i)
            cache.set("shared", (name, name))
            value: Any = cache.get("shared")
            if value is None or value[0] != value[1]:
                errors.append(f"shared was {value}")
            if cache.get(f"{name}-{i}") != i:
                errors.append(f"lost {name}-{i}")
            if i % 3 == 0:
                cache.delete(f"{name}-{i}")

    threads = [threading.Thread(target=work, args=(name,)) for name in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert len(cache) == 1 + 16 * (500 - 167)


def test_expired_and_deleted_values_are_let_go(clock: Clock) -> None:
    class Value:
        pass

    cache = SecretCache(clock=clock)
    kept: list[weakref.ref[Value]] = []
    for key in ("deleted", "expired", "cleared"):
        value = Value()
        kept.append(weakref.ref(value))
        cache.set(key, value, ttl_seconds=10)
        del value
    cache.delete("deleted")
    clock.now += 10
    assert cache.get("expired") is None
    cache.clear()
    gc.collect()
    assert [reference() for reference in kept] == [None, None, None]


def test_a_cycle_through_the_cache_is_collected() -> None:
    cache = SecretCache()
    cache.set("self", cache)
    gone = weakref.ref(cache)
    del cache
    gc.collect()
    assert gone() is None


def test_repr_tells_how_much_never_what() -> None:
    cache = SecretCache()
    cache.set("key", CANARY)
    assert repr(cache) == "<SecretCache: 1 entries, default_ttl_seconds=300>"
    assert cache.default_ttl_seconds == 300


def test_it_can_be_extended() -> None:
    class Counting(SecretCache):
        hits = 0

        def get(self, key: str) -> Any:  # noqa: ANN401
            self.hits += 1
            return super().get(key)

    cache = Counting(default_ttl_seconds=5)
    cache.set("a", 1)
    assert (cache.get("a"), cache.hits) == (1, 1)
