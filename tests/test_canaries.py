"""No secret in repr, exceptions, tracebacks with locals, or logs at DEBUG: canaries are planted, and looked for."""

from __future__ import annotations

import asyncio
import gc
import logging
import sys
import traceback
from typing import TYPE_CHECKING, Any, Callable

import pytest

import secrets_service
from secrets_service import (
    AsyncResilientVaultClient,
    AsyncSecretsService,
    ResilientVaultClient,
    SecretCache,
    SecretsService,
    ServiceConfig,
    VaultConfig,
    retry_with_backoff,
)

from .conftest import CANARY

if TYPE_CHECKING:
    from secrets_service._native import DevVault

OURS = secrets_service.__path__[0]


def with_locals(error: BaseException) -> str:
    """Everything that a tracer such as cgitb or Sentry shows: messages, attributes, and locals of *our* frames."""
    parts = []
    chain: list[BaseException] = [error]
    while chain:
        current = chain.pop()
        parts += [
            str(current),
            repr(current),
            repr(vars(current)),
            *traceback.format_exception_only(type(current), current),
        ]
        parts += [repr(argument) for argument in current.args]
        for frame, _ in traceback.walk_tb(current.__traceback__):
            if frame.f_code.co_filename.startswith((OURS, "<string>")) or "gds_vault" in frame.f_code.co_filename:
                parts += [f"{name} = {value!r}" for name, value in frame.f_locals.items()]
        chain += [linked for linked in (current.__cause__, current.__context__) if linked is not None]
    return "\n".join(parts)


def caught(work: Callable[[], object]) -> str:
    try:
        work()
    except Exception as error:  # noqa: BLE001
        return with_locals(error)
    pytest.fail("nothing was raised")


@pytest.fixture
def token(dev: DevVault) -> str:
    """A token that is a canary, good for everything."""
    made = dev.request("POST", "auth/token/create", {"id": f"{CANARY}-token", "policies": ["root"]})
    return str(made["auth"]["client_token"])


@pytest.fixture
def config(dev: DevVault, token: str) -> VaultConfig:
    return VaultConfig(addr=dev.addr, auth_method="token", token=token, retry_max_attempts=1)


def failures(client: ResilientVaultClient, service: SecretsService) -> list[Callable[[], object]]:
    return [
        lambda: client.get_secret("secret/a", bypass_cache=True),
        lambda: client.get_secret("secret/missing"),
        lambda: client.put_secret("secret/a", {"password": CANARY}),
        lambda: client.patch_secret("secret/a", {"password": CANARY}),
        lambda: client.put_secret("secret/a", {"password": {CANARY: object()}}),
        lambda: client.patch_secret("secret/a", {"password": (CANARY, object())}),
        lambda: service.set_api_key("stripe", CANARY),
        lambda: service.get_api_key("missing"),
        service.get_database_connection_string,
        lambda: client.get_database_credentials("myapp"),
    ]


@pytest.mark.parametrize("outage", ["none", "refuse", "seal", "fail", "garbage", "cut-body", "denied"])
def test_nothing_in_exceptions_and_logs(
    dev: DevVault, config: VaultConfig, caplog: pytest.LogCaptureFixture, outage: str
) -> None:
    caplog.set_level(logging.DEBUG)
    dev.put("secret/a", {"password": CANARY, "nested": {"password": CANARY}})
    dev.put("secret/myapp/api-keys", {"stripe": CANARY})
    client = ResilientVaultClient(config)
    service = SecretsService(client, ServiceConfig())
    assert client.get_secret("secret/a")["password"] == CANARY
    assert service.get_api_key("stripe") == CANARY
    if outage in ("garbage", "cut-body"):
        dev.break_answers(outage)
    elif outage == "denied":
        dev.request("POST", "auth/token/revoke", {"token": config.token})
    elif outage != "none":
        getattr(dev, outage)()
    raised = 0
    for work in failures(client, service):
        try:
            work()
        except Exception as error:  # noqa: BLE001
            raised += 1
            assert CANARY not in with_locals(error)
    assert raised >= 4
    assert caplog.records
    for record in caplog.records:
        assert CANARY not in record.getMessage()
        assert CANARY not in repr({k: v for k, v in vars(record).items() if k != "exc_info"})
    client.close(revoke=False)


def test_nothing_in_exceptions_of_coroutines(dev: DevVault, config: VaultConfig) -> None:
    async def main() -> None:
        client = AsyncResilientVaultClient(config)
        service = AsyncSecretsService(client, ServiceConfig())
        await client.put_secret("secret/a", {"password": CANARY})
        dev.refuse()
        for coroutine in (
            client.get_secret("secret/a", bypass_cache=True),
            client.put_secret("secret/a", {"password": CANARY}),
            client.patch_secret("secret/a", {"password": CANARY}),
            service.set_api_key("stripe", CANARY),
            service.get_database_connection_string(),
        ):
            assert CANARY not in repr(coroutine)
            try:
                await coroutine
            except Exception as error:  # noqa: BLE001
                assert CANARY not in with_locals(error)
            else:
                pytest.fail("nothing was raised")
        # A frame of ours in the middle of its work has none either.
        dev.accept()
        dev.freeze()
        task = asyncio.ensure_future(client.put_secret("secret/a", {"password": CANARY}))
        await asyncio.sleep(0.05)
        (frame,) = task.get_stack()
        assert CANARY not in repr(frame.f_locals)
        task.cancel()
        dev.thaw()
        await asyncio.gather(task, return_exceptions=True)
        await client.close(revoke=False)

    asyncio.run(main())


def test_nothing_in_configuration_errors(clean_environment: pytest.MonkeyPatch) -> None:
    bad = VaultConfig(
        addr=f"http://user:{CANARY}@host",
        auth_method="approle",
        token=CANARY,
        role_id=CANARY,
        secret_id=CANARY,
        wrapped_secret_id=CANARY,
        read_deadline_seconds=-1,
    )
    assert CANARY not in caught(bad.validate)
    assert CANARY not in caught(lambda: ResilientVaultClient(bad))
    for name in ("VAULT_TOKEN", "VAULT_ROLE_ID", "VAULT_SECRET_ID", "VAULT_WRAPPED_SECRET_ID", "VAULT_ADDR"):
        clean_environment.setenv(name, CANARY)
    assert CANARY not in caught(VaultConfig.from_environment)
    assert CANARY not in caught(SecretsService)
    assert CANARY not in caught(AsyncSecretsService)


def test_nothing_in_any_repr(dev: DevVault, config: VaultConfig) -> None:
    dev.put("secret/a", {"password": CANARY})
    client, loop_client = ResilientVaultClient(config), AsyncResilientVaultClient(config)
    cache = SecretCache()
    cache.set("key", CANARY)
    client.get_secret("secret/a")
    things: list[Any] = [
        config,
        client,
        loop_client,
        cache,
        client.read_secret("secret/a"),
        SecretsService(client),
        AsyncSecretsService(loop_client),
        client.stats(),
        dev,
    ]
    for thing in things:
        for text in (repr(thing), str(thing), f"{thing}"):
            assert CANARY not in text
    # What we keep for ourselves and Python can see (debuggers do): prepared answers say nothing either.
    for kept in gc.get_objects():
        if str(type(kept).__module__).startswith(("secrets_service", "builtins")) and type(kept).__name__ in (
            "Prepared",
            "Kept",
            "Operation",
            "Ready",
        ):
            assert CANARY not in repr(kept)
    client.close(revoke=False)


def test_nothing_in_the_traceback_of_a_retry() -> None:
    def func() -> None:
        raise OSError

    assert CANARY not in caught(lambda: retry_with_backoff(func, 2, sleep=lambda _: None))
    assert sys.exc_info() == (None, None, None)
