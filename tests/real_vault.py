"""A real Vault in dev mode, as a child process."""

from __future__ import annotations

import json
import socket
import subprocess
import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any, Optional, Protocol

if TYPE_CHECKING:
    from typing_extensions import Self

START_SECONDS = 60.0


class AnyVault(Protocol):
    """What tests need of a server, embedded or real."""

    @property
    def addr(self) -> str: ...
    @property
    def root_token(self) -> str: ...
    def put(self, path: str, data: dict[str, Any]) -> None: ...
    def request(self, method: str, path: str, body: Optional[dict[str, Any]] = None) -> Any: ...  # noqa: ANN401


class RealVault:
    """Started on a free port, ended with the `with` block."""

    root_token = "root"

    def __init__(self, binary: str) -> None:
        with socket.socket() as chosen:
            chosen.bind(("127.0.0.1", 0))
            address = f"127.0.0.1:{chosen.getsockname()[1]}"
        self.addr = f"http://{address}"
        options = ["-dev-root-token-id=root", f"-dev-listen-address={address}", "-dev-no-store-token"]
        self._process = subprocess.Popen(
            [binary, "server", "-dev", *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    def __enter__(self) -> Self:
        give_up = time.monotonic() + START_SECONDS
        while True:
            try:
                self.request("GET", "sys/mounts")
            except (urllib.error.URLError, OSError):
                if time.monotonic() > give_up or self._process.poll() is not None:
                    self.__exit__()
                    raise
                time.sleep(0.1)
            else:
                return self

    def __exit__(self, *_exception: object) -> None:
        self._process.kill()
        self._process.wait()

    def put(self, path: str, data: dict[str, Any]) -> None:
        mount, _, rest = path.partition("/")
        self.request("POST", f"{mount}/data/{rest}", {"data": data})

    def request(self, method: str, path: str, body: Optional[dict[str, Any]] = None) -> Any:  # noqa: ANN401
        request = urllib.request.Request(
            f"{self.addr}/v1/{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"X-Vault-Token": self.root_token},
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            text = answer.read()
        return json.loads(text) if text else None
