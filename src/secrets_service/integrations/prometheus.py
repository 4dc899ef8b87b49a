"""Prometheus: what clients did, and how long leases last, as metrics of `prometheus_client`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Union

from prometheus_client import REGISTRY
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client import CollectorRegistry
    from prometheus_client.metrics_core import Metric

    from secrets_service.vault_client import AsyncResilientVaultClient, ResilientVaultClient

__all__ = ["VaultCollector", "register"]

AnyClient = Union["ResilientVaultClient", "AsyncResilientVaultClient"]


def register(client: AnyClient, *, name: str = "default", registry: CollectorRegistry = REGISTRY) -> VaultCollector:
    """Have a registry collect the metrics of a client.

    Args:
        client: The client; of a service: `service.vault`.
        name: Of the client, for the label `client`, if there are several.
        registry: Where metrics are collected.

    Returns:
        The collector, for `registry.unregister`.
    """
    collector = VaultCollector(client, name=name)
    registry.register(collector)
    return collector


class VaultCollector(Collector):
    """The metrics of a client, read when they are asked for. Labels are paths of leases, never values."""

    def __init__(self, client: AnyClient, *, name: str = "default") -> None:
        """Describe a client; see `register`."""
        self._client = client
        self._name = name

    def describe(self) -> list[Metric]:
        """Return nothing: the names are known when they are collected, and asking would start the client."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Return the metrics as they are now."""
        stats = self._client.stats()
        reads = CounterMetricFamily(
            "secrets_service_reads", "Reads, by what they were answered from.", labels=["client", "result"]
        )
        for result, counter in (("hit", "hits"), ("miss", "misses"), ("stale", "stale_served")):
            reads.add_metric([self._name, result], stats[counter])
        yield reads
        yield self._counter("requests", "Requests to Vault, retries included, logins not.", stats["requests"])
        yield self._counter("retries", "Requests to Vault that were retries.", stats["retries"])
        logins = CounterMetricFamily("secrets_service_logins", "Logins to Vault.", labels=["client", "result"])
        logins.add_metric([self._name, "succeeded"], stats["logins"])
        logins.add_metric([self._name, "failed"], stats["login_failures"])
        yield logins
        yield from self._leases()

    def _counter(self, name: str, documentation: str, value: int) -> Metric:
        counter = CounterMetricFamily(f"secrets_service_{name}", documentation, labels=["client"])
        counter.add_metric([self._name], value)
        return counter

    def _leases(self) -> Iterator[Metric]:
        labels = ["client", "path"]
        expiry = GaugeMetricFamily(
            "secrets_service_lease_seconds_to_expiry", "Until a lease that is kept alive ends.", labels=labels
        )
        failures = GaugeMetricFamily(
            "secrets_service_lease_failures", "Failed attempts in a row to renew or replace a lease.", labels=labels
        )
        # One for each path: a second lease is one that is on its way out.
        newest = {lease.path: lease for lease in sorted(self._client.leases(), key=lambda lease: lease.ends_in_seconds)}
        for lease in newest.values():
            expiry.add_metric([self._name, lease.path], lease.ends_in_seconds)
            failures.add_metric([self._name, lease.path], lease.failures)
        yield expiry
        yield failures
