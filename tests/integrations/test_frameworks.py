"""FastAPI, Starlette, Flask and Prometheus."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Any

import httpx
import pytest
from fastapi import Depends, FastAPI
from flask import Flask, Response, jsonify
from prometheus_client import CollectorRegistry, generate_latest

from secrets_service import AsyncResilientVaultClient, AsyncSecretsService, ResilientVaultClient, SecretsService
from secrets_service.integrations import prometheus
from secrets_service.integrations.fastapi import lifespan, readiness_route, secrets
from secrets_service.integrations.flask import Secrets, current_secrets

if TYPE_CHECKING:
    from typing_extensions import Self

    from secrets_service.testing import VaultDev

    from .conftest import Stage

KEYS = "secret/myapp/api-keys"
CANARY = "canary-4711"


def _fastapi(vault_dev: VaultDev) -> FastAPI:
    config = vault_dev.config(cache_ttl_seconds=0, retry_max_attempts=1)
    app = FastAPI(
        lifespan=lifespan(lambda: AsyncSecretsService(AsyncResilientVaultClient(config))),
        routes=[readiness_route([KEYS])],
    )

    @app.get("/key/{name}")
    async def key(name: str, service: Annotated[AsyncSecretsService, Depends(secrets)]) -> int:
        return len(await service.get_api_key(name))

    return app


def _flask(vault_dev: VaultDev) -> Flask:
    config = vault_dev.config(cache_ttl_seconds=0, retry_max_attempts=1)
    app = Flask(__name__)
    Secrets(app, lambda: SecretsService(ResilientVaultClient(config)), paths=[KEYS])

    @app.get("/key/<name>")
    def key(name: str) -> Response:
        return jsonify(len(current_secrets.get_api_key(name)))

    return app


class Served:
    """An ASGI application, with its lifespan, in an event loop of its own."""

    def __init__(self, app: FastAPI) -> None:
        self._loop = asyncio.new_event_loop()
        self._lifespan = app.router.lifespan_context(app)
        self._client = httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://app")

    def get(self, path: str) -> httpx.Response:
        return self._loop.run_until_complete(self._client.get(path))

    def __enter__(self) -> Self:
        self._loop.run_until_complete(self._lifespan.__aenter__())
        return self

    def __exit__(self, *_exception: object) -> None:
        self._loop.run_until_complete(self._client.aclose())
        self._loop.run_until_complete(self._lifespan.__aexit__(None, None, None))
        self._loop.close()


class Answers:
    """What both frameworks' test clients answer, in one form."""

    def __init__(self, client: Any) -> None:  # noqa: ANN401
        self._client = client

    def get(self, path: str) -> tuple[int, Any]:
        answer = self._client.get(path)
        body = answer.json() if callable(answer.json) else answer.get_json()
        return answer.status_code, body


@pytest.fixture(params=["fastapi", "flask"])
def answers(request: pytest.FixtureRequest, vault_dev: VaultDev) -> Any:  # noqa: ANN401
    vault_dev.put(KEYS, {"stripe": CANARY})
    if request.param == "fastapi":
        with Served(_fastapi(vault_dev)) as client:
            yield Answers(client)
    else:
        yield Answers(_flask(vault_dev).test_client())


def test_the_service_is_there(answers: Answers) -> None:
    assert answers.get("/key/stripe") == (200, len(CANARY))


def test_ready(answers: Answers) -> None:
    status, body = answers.get("/ready")
    assert status == 200
    assert body["status"] == "ready"
    assert body["secrets"][KEYS]["state"] == "fresh"


def test_degraded_while_vault_is_away_and_ready_again(answers: Answers, vault_dev: VaultDev) -> None:
    answers.get("/ready")
    vault_dev.seal()
    status, body = answers.get("/ready")
    assert (status, body["status"]) == (200, "degraded")
    assert body["secrets"][KEYS]["state"] == "stale"
    assert body["secrets"][KEYS]["reason"]
    assert CANARY not in str(body)
    assert answers.get("/key/stripe") == (200, len(CANARY))


def test_not_ready_without_the_secret(answers: Answers, vault_dev: VaultDev) -> None:
    vault_dev.refuse()
    status, body = answers.get("/ready")
    assert (status, body["status"]) == (503, "not ready")
    assert body["secrets"][KEYS]["state"] == "unavailable"
    vault_dev.accept()


def test_closing_the_application_closes_the_service(vault_dev: VaultDev) -> None:
    config = vault_dev.config()
    service = AsyncSecretsService(AsyncResilientVaultClient(config))
    app = FastAPI(lifespan=lifespan(lambda: service), routes=[readiness_route(["secret/none"], path="/health")])
    with Served(app) as client:
        assert client.get("/health").json()["secrets"]["secret/none"]["state"] == "not_found"
    assert "closed" in repr(service)


def test_flask_without_readiness(vault_dev: VaultDev) -> None:
    app = Flask(__name__)
    extension = Secrets(make=lambda: SecretsService(ResilientVaultClient(vault_dev.config())), ready=None)
    extension.init_app(app)
    assert app.test_client().get("/ready").status_code == 404
    vault_dev.assert_not_requested("GET", "secret")


def test_prometheus(stage: Stage) -> None:
    registry = CollectorRegistry()
    with stage.client() as vault:
        collector = prometheus.register(vault, name="main", registry=registry)
        first = vault.rotating_database_credentials("app")
        stage.vault.put("secret/measured", {"a": CANARY})
        for _ in range(3):
            vault.get_secret("secret/measured")
        told = generate_latest(registry).decode()
        assert 'secrets_service_reads_total{client="main",result="hit"} 2.0' in told
        assert 'secrets_service_logins_total{client="main",result="succeeded"} 1.0' in told
        assert f'secrets_service_lease_seconds_to_expiry{{client="main",path="{first.path}"}}' in told
        assert f'secrets_service_lease_failures{{client="main",path="{first.path}"}} 0.0' in told
        assert CANARY not in told
        registry.unregister(collector)
