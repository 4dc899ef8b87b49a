"""The application that gunicorn loads before it forks: it has read, logged in and queried by then."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import sqlalchemy as sa

from secrets_service import ResilientVaultClient, VaultConfig
from secrets_service.integrations.sqlalchemy import rotate

if TYPE_CHECKING:
    from collections.abc import Iterable

    from _typeshed.wsgi import StartResponse, WSGIEnvironment

vault = ResilientVaultClient(VaultConfig.from_environment())
engine = rotate(sa.create_engine(os.environ["TEST_DATABASE"]), vault.rotating_database_credentials("app"))


def look() -> dict[str, object]:
    """What this process sees."""
    with engine.connect() as connection:
        row = connection.execute(sa.text("SELECT current_user::text, pg_backend_pid()")).one()
    return {
        "process": os.getpid(),
        "secret": vault.get_secret("secret/preloaded")["value"],
        "user": row[0],
        "backend": row[1],
    }


parent = look()


def application(_: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
    """Answer with what this worker sees."""
    body = json.dumps({**look(), "parent": parent}).encode()
    start("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]
