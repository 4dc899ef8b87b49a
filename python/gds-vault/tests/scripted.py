"""An HTTP server that answers what a test tells it to."""

from __future__ import annotations

import json
import ssl
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Optional
from urllib.parse import parse_qs, urlsplit


@dataclass
class Reply:
    """One answer."""

    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    #: Answer only when this is set.
    gate: Optional[threading.Event] = None


@dataclass
class Seen:
    """One request."""

    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    body: Any


class _Quiet(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: broken connections are what some tests are about."""


class Scripted:
    """Replies by method and path: each once, the last one for ever."""

    def __init__(self, tls: Optional[ssl.SSLContext] = None) -> None:
        self.requests: list[Seen] = []
        self.connections = 0
        self._replies: dict[tuple[str, str], list[Reply]] = {}
        self._lock = threading.Lock()
        self._server = _Quiet(("127.0.0.1", 0), self._handler())
        self._scheme = "http" if tls is None else "https"
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"{self._scheme}://127.0.0.1:{self._server.server_address[1]}"

    def on(self, method: str, path: str, *replies: Reply) -> None:
        with self._lock:
            self._replies[method, path] = list(replies)

    def secret(self, path: str, **fields: Any) -> None:
        """Answer like a KV v2 read."""
        self.on("GET", path, Reply(200, kv2(fields)))

    def login(self, token: str = "hvs.scripted-canary", lease: int = 3600, path: str = "auth/approle/login") -> None:
        self.on("POST", path, Reply(200, login(token, lease)))

    def count(self, method: str, path: str) -> int:
        return sum(seen.method == method and seen.path == path for seen in self.requests)

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _take(self, seen: Seen) -> Reply:
        with self._lock:
            self.requests.append(seen)
            replies = self._replies.get((seen.method, seen.path), [Reply(404, {"errors": []})])
            return replies.pop(0) if len(replies) > 1 else replies[0]

    def _handler(scripted) -> type[BaseHTTPRequestHandler]:  # noqa: N805 - `self` is the handler's
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def setup(self) -> None:
                super().setup()
                scripted.connections += 1

            def answer(self) -> None:
                split = urlsplit(self.path)
                length = int(self.headers.get("Content-Length") or 0)
                raw = self.rfile.read(length)
                headers = {name.lower(): value for name, value in self.headers.items()}
                body = json.loads(raw) if raw else None
                path = split.path[len("/v1/") :]
                reply = scripted._take(Seen(self.command, path, parse_qs(split.query), headers, body))
                if reply.gate is not None:
                    reply.gate.wait(30)
                out = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
                if reply.body is None:
                    out = b""
                try:
                    self.send_response(reply.status)
                    for name, value in reply.headers.items():
                        self.send_header(name, value)
                    self.send_header("Content-Length", str(len(out)))
                    self.end_headers()
                    self.wfile.write(out)
                except OSError:
                    self.close_connection = True

            do_GET = do_POST = do_PUT = do_DELETE = answer  # noqa: N815

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                pass

        return Handler


def kv2(fields: dict[str, Any], custom_metadata: Any = None) -> dict[str, Any]:
    metadata = {
        "created_time": "2026-01-01T00:00:00.123456789Z",
        "custom_metadata": custom_metadata,
        "deletion_time": "",
        "destroyed": False,
        "version": 1,
    }
    return {
        "request_id": "r",
        "lease_id": "",
        "renewable": False,
        "lease_duration": 0,
        "data": {"data": fields, "metadata": metadata},
        "mount_type": "kv",
    }


def leased(fields: dict[str, Any], duration: int) -> dict[str, Any]:
    return {"lease_id": "database/creds/app/x", "renewable": True, "lease_duration": duration, "data": fields}


def login(token: str, lease: int) -> dict[str, Any]:
    return {"auth": {"client_token": token, "lease_duration": lease, "renewable": True, "policies": ["default"]}}
