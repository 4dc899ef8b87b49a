"""Requests as they go over the wire."""

from __future__ import annotations

import asyncio
import pathlib
import ssl
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from gds_vault import VaultClient, VaultConfigurationError, VaultConnectionError, VaultError
from gds_vault._native import Hidden
from gds_vault.transport import VaultTransport
from tests.conftest import Certificate
from tests.scripted import Reply, Scripted


def test_get(scripted: Scripted) -> None:
    scripted.on("GET", "any/path", Reply(200, {"data": {"a": [1, None, "é"]}}))
    transport = VaultTransport(scripted.url, namespace="team")
    got = transport.get("any/path", token="t", params={"depth": 2, "b": "x y"}, headers={"X-Mine": "1"})
    assert got == {"data": {"a": [1, None, "é"]}}
    seen = scripted.requests[-1]
    assert seen.query == {"depth": ["2"], "b": ["x y"]}
    names = ("x-vault-token", "x-vault-namespace", "x-mine", "x-vault-request")
    assert [seen.headers.get(name) for name in names] == ["t", "team", "1", "true"]


def test_post_without_a_token_in_another_namespace(scripted: Scripted) -> None:
    scripted.on("POST", "any/path", Reply(204))
    transport = VaultTransport(scripted.url, namespace="team")
    assert transport.post("/any/path", {"a": {"b": 12345678901234567890123}}, namespace="other") is None
    seen = scripted.requests[-1]
    assert seen.body == {"a": {"b": 12345678901234567890123}}
    assert seen.headers["content-type"] == "application/json"
    assert seen.headers["x-vault-namespace"] == "other"
    assert "x-vault-token" not in seen.headers


def test_request(scripted: Scripted) -> None:
    scripted.on("PUT", "p", Reply(200, {"done": True}))
    scripted.on("DELETE", "p", Reply(204))
    scripted.on("GET", "p", Reply(200, {"data": {"keys": ["a"]}}))
    transport = VaultTransport(scripted.url)
    assert transport.request("put", "p", json=[1], token=Hidden("t")) == {"done": True}
    assert transport.request("DELETE", "p", "t") is None
    assert transport.request("LIST", "p", "t") == {"data": {"keys": ["a"]}}
    assert scripted.requests[-1].query == {"list": ["true"]}
    with pytest.raises(VaultConfigurationError, match="method"):
        transport.request("NO METHOD", "p")


def test_awaited(scripted: Scripted) -> None:
    scripted.on("GET", "p", Reply(200, {"done": True}))
    transport = VaultTransport(scripted.url)

    async def main() -> Any:
        return await transport.start("GET", "p", token="t")

    assert asyncio.run(main()) == {"done": True}
    call = transport.start("GET", "p")
    call.wait()
    with pytest.raises(RuntimeError, match="already"):
        call.wait()
    with pytest.raises(RuntimeError, match="loop"):
        transport.start("GET", "p").__await__()


def test_settings_show(scripted: Scripted) -> None:
    transport = VaultTransport(f"{scripted.url}/", 3.5, namespace="team")
    assert (transport.vault_addr, transport.timeout, transport.namespace) == (f"{scripted.url}/", 3.5, "team")
    assert repr(transport) == f"VaultTransport({scripted.url})"


def test_several_servers(scripted: Scripted) -> None:
    scripted.secret("secret/data/app", a=1)
    client = VaultClient(f"http://127.0.0.1:1,{scripted.url}", token="t")
    assert client.get_secret("secret/data/app") == {"a": 1}


def test_closing_closes_and_reopens(scripted: Scripted) -> None:
    scripted.on("GET", "p", Reply(200, {}))
    transport = VaultTransport(scripted.url)
    for before in (0, 1):
        transport.get("p")
        assert scripted.connections == before + 1
        transport.close()


@pytest.mark.parametrize("timeout", [0, -1, float("nan"), float("inf")])
def test_timeouts_are_checked(scripted: Scripted, timeout: float) -> None:
    with pytest.raises(VaultConfigurationError, match="timeout"):
        VaultTransport(scripted.url, timeout)
    with pytest.raises(VaultConfigurationError, match="timeout"):
        VaultTransport(scripted.url).get("p", timeout=timeout)


def test_a_timeout_of_one_request(scripted: Scripted) -> None:
    gate = threading.Event()
    scripted.on("GET", "p", Reply(200, {}, gate=gate))
    try:
        with pytest.raises(VaultConnectionError) as caught:
            VaultTransport(scripted.url).get("p", timeout=0.1)
        assert caught.value.kind == "timeout"
    finally:
        gate.set()


@pytest.mark.parametrize(("body", "error"), [(b"not json", ValueError), (b"\xff", ValueError)])
def test_an_answer_that_is_not_json(scripted: Scripted, body: bytes, error: type[Exception]) -> None:
    scripted.on("GET", "p", Reply(200, body))
    with pytest.raises(error, match="not JSON"):
        VaultTransport(scripted.url).get("p")


@pytest.mark.parametrize("secret", [5, b"bytes-canary", ["canary"]])
def test_secrets_must_be_text(scripted: Scripted, secret: Any) -> None:
    with pytest.raises(TypeError) as caught:
        VaultTransport(scripted.url).get("p", token=secret)
    assert "canary" not in str(caught.value)
    with pytest.raises(TypeError, match="UTF-8"):
        Hidden("\ud800")


def test_a_body_that_cannot_be_json(scripted: Scripted) -> None:
    with pytest.raises(TypeError, match="JSON"):
        VaultTransport(scripted.url).post("p", {"a": object()})


def test_values_sent_are_kept_out_of_errors(scripted: Scripted) -> None:
    scripted.on("POST", "p", Reply(400, {"errors": ["canary-value is wrong, says canary-token"]}))
    with pytest.raises(VaultError) as caught:
        VaultTransport(scripted.url).post("p", {"a": "canary-value"}, token="canary-token")
    assert "canary" not in str(caught.value)


def test_hidden_texts() -> None:
    hidden = Hidden("canary")
    assert [repr(hidden), str(hidden), f"{hidden}"] == ["[redacted]"] * 3
    assert hidden.expose() == "canary"
    assert hidden == Hidden(hidden)
    assert hidden != Hidden("other")
    assert hidden != "canary"
    assert hash(hidden) == hash(Hidden("other"))
    assert (bool(hidden), bool(Hidden(""))) == (True, False)
    with pytest.raises(TypeError, match="pickled"):
        hidden.__reduce__()


# -- TLS --------------------------------------------------------------------------------------------------------------


@pytest.fixture
def encrypted(certificate: Certificate) -> Iterator[Scripted]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.authority, certificate.key)
    context.load_verify_locations(certificate.authority)
    context.verify_mode = ssl.CERT_OPTIONAL
    server = Scripted(context)
    server.on("GET", "p", Reply(200, {"a": 1}))
    yield server
    server.stop()


def test_an_authority_as_file_or_folder(encrypted: Scripted, certificate: Certificate, tmp_path: pathlib.Path) -> None:
    (tmp_path / "ca.pem").write_text(pathlib.Path(certificate.authority).read_text())
    for path in (certificate.authority, str(tmp_path), tmp_path):
        assert VaultTransport(encrypted.url, ssl_cert_path=path).get("p") == {"a": 1}


def test_an_unknown_authority_is_refused_unless_told(encrypted: Scripted) -> None:
    with pytest.raises(VaultConnectionError) as caught:
        VaultTransport(encrypted.url).get("p")
    assert caught.value.kind == "tls"
    assert VaultTransport(encrypted.url, verify_ssl=False).get("p") == {"a": 1}


def test_names_and_client_certificates(encrypted: Scripted, certificate: Certificate) -> None:
    transport = VaultTransport(
        encrypted.url,
        ssl_cert_path=certificate.authority,
        server_name="vault.test",
        client_cert=certificate.authority,
        client_key=certificate.key,
    )
    assert transport.get("p") == {"a": 1}
    with pytest.raises(VaultConnectionError):
        VaultTransport(encrypted.url, ssl_cert_path=certificate.authority, server_name="other.test").get("p")
    with pytest.raises(VaultConfigurationError, match="key"):
        VaultTransport(encrypted.url, client_cert=certificate.authority)
    with pytest.raises(VaultConfigurationError, match="certificate file"):
        VaultTransport(encrypted.url, ssl_cert_path="/nowhere.pem")


def test_skipping_verification_is_loud(encrypted: Scripted, caplog: pytest.LogCaptureFixture) -> None:
    VaultClient(encrypted.url, token="t", verify_ssl=False)
    assert "NOT verified" in caplog.text
