from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Any, Callable

import pytest
from gds_vault import exceptions as errors

from secrets_service import AsyncResilientVaultClient, AsyncSecretsService, ServiceConfig, VaultConfig

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from secrets_service._native import DevPostgres, DevVault

    from .real_vault import AnyVault

ConfigFor = Callable[..., VaultConfig]


async def ticks_during(work: Awaitable[Any], after_ten: Callable[[], None] = lambda: None) -> tuple[Any, int]:
    """The outcome of `work` (an exception included), and how often the event loop came round meanwhile."""
    task = asyncio.ensure_future(work)
    ticks = 0
    while not task.done():
        await asyncio.sleep(0.001)
        ticks += 1
        if ticks == 10:
            after_ten()
    return task.exception() or task.result(), ticks


def test_row29_the_event_loop_is_never_blocked(dev: DevVault, config_for: ConfigFor) -> None:
    """Reads, writes, logins and outages: while Vault does not answer, the loop goes on."""
    dev.put("secret/a", {"x": 1})

    async def main() -> None:
        client = AsyncResilientVaultClient(config_for(dev, read_deadline_seconds=60, client_timeout_seconds=60))
        for work in (
            client.log_in(),
            client.get_secret("secret/a"),
            client.put_secret("secret/a", {"x": 2}),
            client.patch_secret("secret/a", {"y": 3}),
            client.list_secrets("secret/"),
            client.read_secret("secret/a"),
        ):
            # Vault answers when the loop has come round ten times, and not before.
            dev.freeze()
            outcome, ticks = await ticks_during(work, dev.thaw)
            assert not isinstance(outcome, BaseException), outcome
            assert ticks >= 10
        await client.close()
        impatient = AsyncResilientVaultClient(config_for(dev, read_deadline_seconds=2.0))
        dev.freeze()
        outcome, ticks = await ticks_during(impatient.get_secret("secret/b"))
        assert isinstance(outcome, errors.VaultConnectionError)
        assert ticks >= 10
        dev.thaw()
        await impatient.close()

    asyncio.run(main())


def test_the_same_as_for_threads(vault: AnyVault, config_for: ConfigFor, fresh_path: str) -> None:
    folder, name = fresh_path.rsplit("/", 1)

    async def main() -> None:
        async with AsyncResilientVaultClient(config_for(vault)) as client:
            assert await client.put_secret(fresh_path, {"x": 1, "n": {"y": [2]}}) == 1
            first = await client.get_secret(fresh_path)
            second = await client.get_secret(fresh_path)
            assert first == second == {"x": 1, "n": {"y": [2]}}
            second["n"]["y"].append(3)
            assert await client.get_secret(fresh_path) == first
            assert await client.patch_secret(fresh_path, {"x": None, "z": 0}) == 2
            assert await client.get_secret(fresh_path) == {"n": {"y": [2]}, "z": 0}
            assert await client.get_secret(fresh_path, version=1) == first
            assert await client.get_secret(fresh_path, bypass_cache=True) == {"n": {"y": [2]}, "z": 0}
            assert (await client.read_secret(fresh_path)).version == 2
            assert await client.list_secrets(folder) == [name]
            await client.delete_secret(fresh_path)
            with pytest.raises(errors.VaultSecretNotFoundError):
                await client.get_secret(fresh_path)
            await client.put_secret(fresh_path, {"x": 9})
            assert await client.get_secret(fresh_path) == {"x": 9}
            assert client.invalidate(fresh_path)
            client.clear_cache()
            assert client.stats()["logins"] == 1
        assert "closed" in repr(client)
        with pytest.raises(errors.VaultError, match="closed"):
            await client.get_secret(fresh_path)

    asyncio.run(main())


def test_a_cached_secret_is_returned_without_giving_up_the_turn(dev: DevVault, config_for: ConfigFor) -> None:
    dev.put("secret/a", {"x": 1})

    async def main() -> None:
        client = AsyncResilientVaultClient(config_for(dev))
        await client.get_secret("secret/a")
        coroutine = client.get_secret("secret/a")
        with pytest.raises(StopIteration) as done:
            coroutine.send(None)
        assert done.value.value == {"x": 1}
        await client.close()

    asyncio.run(main())


def test_nothing_happens_before_it_is_awaited(dev: DevVault, config_for: ConfigFor) -> None:
    async def main() -> None:
        client = AsyncResilientVaultClient(config_for(dev))
        coroutine = client.put_secret("secret/a", {"x": 1})
        await asyncio.sleep(0.05)
        assert dev.count() == 0
        coroutine.close()
        await client.close()

    asyncio.run(main())


def test_cancelling_gives_up(dev: DevVault, config_for: ConfigFor) -> None:
    dev.put("secret/a", {"x": 1})

    async def main() -> None:
        client = AsyncResilientVaultClient(config_for(dev, read_deadline_seconds=600, client_timeout_seconds=600))
        dev.freeze()
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(client.get_secret("secret/a"), 0.1)
        task = asyncio.ensure_future(client.get_secret("secret/a"))
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        dev.thaw()
        assert await client.get_secret("secret/a") == {"x": 1}
        await client.close()

    asyncio.run(main())


def test_many_tasks_one_request(dev: DevVault, config_for: ConfigFor) -> None:
    dev.put("secret/a", {"x": 1})

    async def main() -> None:
        async with AsyncResilientVaultClient(config_for(dev)) as client:
            dev.slow(0.1, path="secret/data/a")
            dev.reset_counts()
            results = await asyncio.gather(*(client.get_secret("secret/a") for _ in range(100)))
            assert results == [{"x": 1}] * 100
            assert dev.count("GET", "secret/data/a") == 1

    asyncio.run(main())


def test_one_client_in_several_loops(dev: DevVault, config_for: ConfigFor) -> None:
    dev.put("secret/a", {"x": 1})
    client = AsyncResilientVaultClient(config_for(dev))
    for _ in range(3):
        client.clear_cache()
        assert asyncio.run(_get(client)) == {"x": 1}
    asyncio.run(_close(client))


def test_a_loop_that_ends_first(dev: DevVault, config_for: ConfigFor) -> None:
    """The answer comes when nobody is there any more: no crash, and the next loop works."""
    dev.put("secret/a", {"x": 1})
    client = AsyncResilientVaultClient(config_for(dev))
    dev.freeze()

    async def leave() -> None:
        task = asyncio.ensure_future(client.get_secret("secret/a"))
        await asyncio.sleep(0.05)
        assert not task.done()

    asyncio.run(leave())
    dev.thaw()
    assert asyncio.run(_get(client)) == {"x": 1}
    asyncio.run(_close(client))


async def _get(client: AsyncResilientVaultClient) -> dict[str, Any]:
    return await client.get_secret("secret/a")


async def _close(client: AsyncResilientVaultClient) -> None:
    await client.close()


def test_the_service(
    dev: DevVault, postgres: DevPostgres, config_for: ConfigFor, clean_environment: pytest.MonkeyPatch
) -> None:
    ids = dev.set_up_example(postgres)
    with pytest.raises(errors.VaultConfigurationError):
        AsyncSecretsService()
    clean_environment.setenv("VAULT_ADDR", dev.addr)
    clean_environment.setenv("VAULT_ROLE_ID", ids["role_id"])
    clean_environment.setenv("VAULT_SECRET_ID", ids["secret_id"])

    async def main() -> None:
        async with AsyncSecretsService() as service:
            assert await service.get_api_key("stripe") == "sk_test_xxx"
            await service.set_api_key("stripe", "sk_test_new")
            assert await service.get_api_key("stripe") == "sk_test_new"
            url = await service.get_database_connection_string()
            assert url.startswith("postgresql://")
            credentials = await service.vault.get_database_credentials("myapp")
            assert f"//{credentials['username']}:" in url
            assert "AsyncSecretsService" in repr(service)
        vault = AsyncResilientVaultClient(config_for(dev))
        other = AsyncSecretsService(vault, ServiceConfig())
        assert other.vault is vault
        await other.close(revoke=False)

    asyncio.run(main())


def test_it_needs_no_asyncio_to_be_made(dev: DevVault, config_for: ConfigFor) -> None:
    client = AsyncResilientVaultClient(config_for(dev))
    coroutine = client.get_secret("secret/a")
    with pytest.raises(RuntimeError, match="no running event loop"):
        coroutine.send(None)


@pytest.mark.skipif(sys.version_info < (3, 11), reason="asyncio.TaskGroup came with Python 3.11")
def test_in_a_task_group(dev: DevVault, config_for: ConfigFor) -> None:
    dev.put("secret/a", {"x": 1})

    async def main() -> None:
        async with AsyncResilientVaultClient(config_for(dev)) as client:
            async with asyncio.TaskGroup() as group:  # type: ignore[attr-defined,unused-ignore]
                tasks = [group.create_task(client.get_secret("secret/a")) for _ in range(5)]
            assert [task.result() for task in tasks] == [{"x": 1}] * 5

    asyncio.run(main())
