"""Cached and uncached reads against other ways to do it, import time and memory. `scripts/python bench` runs it.

Contestants take turns in every round, and ratios are taken round by round, so that a machine whose speed drifts does
not favour anyone. Absolute times say little about your machine; ratios carry over. BENCH_STRICT=1 fails when a target
is missed.
"""

from __future__ import annotations

import gc
import os
import statistics
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import cachetools
import hvac

from secrets_service import ResilientVaultClient, SecretCache, VaultConfig
from secrets_service._native import DevVault

if TYPE_CHECKING:
    from collections.abc import Callable

    Read = Callable[[str], Any]

ROUNDS = 15
CALLS = 100_000
THREADS = 8
UNCACHED_CALLS = 300
PATH = "secret/myapp/config"
DATA = {"db_host": "localhost", "db_port": 5432, "db_name": "mydb", "sslmode": "require"}
MANY = 2_000

missed: list[str] = []


class PlainCache:
    """What people write themselves: a dict, a lock, a deadline, and a copy so that callers cannot spoil it."""

    def __init__(self, ttl: float) -> None:
        self._ttl = ttl
        self._lock = threading.Lock()
        self._entries: dict[str, tuple[dict[str, Any], float]] = {}

    def put(self, key: str, value: dict[str, Any]) -> None:
        with self._lock:
            self._entries[key] = (value, time.monotonic() + self._ttl)

    def get(self, key: str) -> dict[str, Any] | None:
        with self._lock:
            entry = self._entries.get(key)
            if entry is None:
                return None
            value, until = entry
            if time.monotonic() >= until:
                del self._entries[key]
                return None
            return dict(value)


class CachetoolsCache:
    """`cachetools.TTLCache`, which is not thread-safe, with the lock that it asks for."""

    def __init__(self, ttl: float) -> None:
        self._lock = threading.Lock()
        self._entries: cachetools.TTLCache[str, dict[str, Any]] = cachetools.TTLCache(10_000, ttl)

    def put(self, key: str, value: dict[str, Any]) -> None:
        with self._lock:
            self._entries[key] = value

    def get(self, key: str) -> dict[str, Any] | None:
        with self._lock:
            value = self._entries.get(key)
            return None if value is None else dict(value)


def per_call(read: Read, calls: int) -> float:
    """Nanoseconds per call in one thread."""
    start = time.perf_counter_ns()
    for _ in range(calls):
        read(PATH)
    return (time.perf_counter_ns() - start) / calls


def per_call_in_threads(read: Read, calls: int) -> float:
    """Nanoseconds of wall time per call, all threads' calls together."""
    start_line = threading.Barrier(THREADS + 1)

    def run() -> None:
        start_line.wait()
        for _ in range(calls // THREADS):
            read(PATH)

    threads = [threading.Thread(target=run) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    start_line.wait()
    start = time.perf_counter_ns()
    for thread in threads:
        thread.join()
    return (time.perf_counter_ns() - start) / calls


def compare(
    title: str, contestants: dict[str, Read], measure: Callable[[Read, int], float], calls: int, most: dict[str, float]
) -> float:
    """Prints medians, and ratios of the first contestant to each other one. Returns the first one's median."""
    times: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(ROUNDS):
        for name, read in contestants.items():
            times[name].append(measure(read, calls))
    print(f"\n{title}")
    first = next(iter(contestants))
    for name, measured in times.items():
        print(f"  {name:<44} {statistics.median(measured):>12,.0f} ns")
    for name, limit in most.items():
        ratio = statistics.median(ours / theirs for ours, theirs in zip(times[first], times[name]))
        verdict(f"ratio to {name}", ratio, limit, "")
    return statistics.median(times[first])


def verdict(what: str, value: float, limit: float, unit: str) -> None:
    """Prints a figure with its target, and remembers if it was missed."""
    good = value <= limit
    print(f"  {what:<44} {value:>12.2f} {unit:<2} target {limit:g} at most{'' if good else ': MISSED'}")
    if not good:
        missed.append(what)


def in_a_process(program: str) -> float:
    """The number that a program prints."""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return float(ran.stdout)


IMPORT = "import time; start = time.perf_counter(); import {}; print((time.perf_counter() - start) * 1e3)"
MEMORY = (
    "import os; resident = lambda: int(open('/proc/self/statm').read().split()[1]) * os.sysconf('SC_PAGE_SIZE'); "
    "before = resident(); import {}; print((resident() - before) / 2**20)"
)


def imports() -> None:
    """Time and memory of an import, as the lowest of several processes."""
    print("\nImport (lowest of 10)")
    for module in ("secrets_service", "hvac"):
        took = min(in_a_process(IMPORT.format(module)) for _ in range(10))
        memory = min(in_a_process(MEMORY.format(module)) for _ in range(10))
        print(f"  {module:<44} {took:>12.1f} ms {memory:>8.1f} MiB")


def resident() -> float:
    """Resident memory of this process, in KiB."""
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1024


def memory(server: DevVault, client: ResilientVaultClient) -> None:
    """Memory for each further cached secret: the core's entry and the prepared dictionary."""
    for number in range(MANY):
        server.put(f"secret/many/{number}", {**DATA, "number": str(number)})
    gc.collect()
    before = resident()
    for number in range(MANY):
        client.get_secret(f"secret/many/{number}")
    gc.collect()
    print(
        f"\nMemory for each of {MANY:,} cached secrets\n  {'get_secret':<44} {(resident() - before) / MANY:>12.2f} KiB"
    )


def main() -> int:
    """Runs everything."""
    with DevVault() as server:
        server.put(PATH, DATA)
        client = ResilientVaultClient(
            VaultConfig(server.addr, "token", token=server.root_token, cache_ttl_seconds=3600)
        )
        peer = hvac.Client(url=server.addr, token=server.root_token)
        plain, tools, ours = PlainCache(3600), CachetoolsCache(3600), SecretCache(3600)
        for cache in (plain, tools):
            cache.put(PATH, client.get_secret(PATH))
        ours.set(PATH, client.get_secret(PATH))

        def read_by_hvac(_: str) -> Any:  # noqa: ANN401
            answer = peer.secrets.kv.v2.read_secret_version(path="myapp/config", raise_on_deleted_version=True)
            return answer["data"]["data"]

        def read_uncached(path: str) -> Any:  # noqa: ANN401
            return client.get_secret(path, bypass_cache=True)

        assert client.get_secret(PATH) == read_by_hvac(PATH) == read_uncached(PATH) == DATA
        assert plain.get(PATH) == tools.get(PATH) == ours.get(PATH) == DATA

        cached = {"get_secret (a hit)": client.get_secret, "plain lock and dict, TTL, copy": plain.get}
        cached["cachetools.TTLCache, lock, copy"] = tools.get
        cached["SecretCache.get (no copy)"] = ours.get
        most = {"plain lock and dict, TTL, copy": 1.0, "cachetools.TTLCache, lock, copy": 1.0}
        hit = compare("A cached read, one thread", cached, per_call, CALLS, most)
        verdict("get_secret (a hit)", hit / 1000, 0.2, "us")
        compare(f"A cached read, {THREADS} threads", cached, per_call_in_threads, CALLS, most)
        uncached = {"get_secret, bypass_cache": read_uncached, "hvac": read_by_hvac}
        compare("An uncached read, one thread", uncached, per_call, UNCACHED_CALLS, {"hvac": 0.5})
        title = f"An uncached read, {THREADS} threads"
        compare(title, uncached, per_call_in_threads, UNCACHED_CALLS, {"hvac": 0.5})
        imports()
        memory(server, client)
        client.close(revoke=False)
    if missed:
        print(f"\nMissed: {', '.join(missed)}")
    return 1 if missed and os.environ.get("BENCH_STRICT") else 0


if __name__ == "__main__":
    sys.exit(main())
