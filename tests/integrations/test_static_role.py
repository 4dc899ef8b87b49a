"""The password of one user changes twenty times while everybody logs in without pause: no login fails for it."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Callable

import pytest
import sqlalchemy as sa
from gds_vault.exceptions import VaultError

from secrets_service.integrations import _rotation, asyncpg, psycopg, sqlalchemy

from .load import CHANGE, WORKERS, Report, run, run_async

if TYPE_CHECKING:
    from django.db.utils import ConnectionHandler
    from typing_extensions import Self

    from .conftest import Stage

ROTATIONS = 20
PAUSE_SECONDS = 0.35
SECONDS = 2.0


class Rotating:
    """Changes the password, again and again, as fast as the machine can stand.

    Nobody misses more than two changes while logging in: not before everyone has logged in since the last but one is
    there another. Without that, a slow machine's logins would all be overtaken.
    """

    def __init__(self, stage: Stage, role: str) -> None:
        self._stage = stage
        self._role = role
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._rotate)
        self._seen = [0] * WORKERS
        self.count = 0

    def logged_in(self, number: int) -> str:
        """Worker `number` has; says how far this is."""
        self._seen[number] = self.count
        return "at the end" if self.count == ROTATIONS else "under way"

    def _rotate(self) -> None:
        while self.count < ROTATIONS and not self._stop.wait(PAUSE_SECONDS):
            if min(self._seen) >= self.count - 1:
                self._stage.database.rotate(self._role)
                self.count += 1

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._stop.set()
        self._thread.join()


def _prove(name: str, report: Report, rotating: Rotating) -> None:
    print(f"\n{name}, static role: {rotating.count} passwords, {report}")
    assert [(error, error.__cause__) for error in report.failures] == []
    assert rotating.count == ROTATIONS
    assert report.queries > ROTATIONS


def _until_the_end(rotating: Rotating, work: Callable[[int], object]) -> Callable[[int], str]:
    def counting(number: int) -> str:
        work(number)
        return rotating.logged_in(number)

    return counting


def test_row12_sqlalchemy(stage: Stage, static_role: str) -> None:
    with stage.client() as vault:
        credentials = vault.rotating_static_database_credentials(static_role)
        engine = sqlalchemy.rotate(sa.create_engine(stage.url("psycopg"), poolclass=sa.NullPool), credentials)

        def work(number: int) -> None:
            with engine.begin() as connection:
                connection.execute(sa.text(CHANGE.format(number)))

        with Rotating(stage, static_role) as rotating:
            report = run(stage.database, _until_the_end(rotating, work), seconds=SECONDS, rotations=1)
        _prove("SQLAlchemy", report, rotating)


def test_row12_psycopg(stage: Stage, static_role: str) -> None:
    with stage.client() as vault:
        credentials = vault.rotating_static_database_credentials(static_role)
        pool = psycopg.connection_pool(credentials, stage.database.url, min_size=4, max_lifetime=0.1)
        with pool, Rotating(stage, static_role) as rotating:

            def work(number: int) -> None:
                with pool.connection() as connection:
                    connection.execute(CHANGE.format(number))

            report = run(stage.database, _until_the_end(rotating, work), seconds=SECONDS, rotations=1)
        _prove("psycopg_pool", report, rotating)


def test_row12_asyncpg(stage: Stage, static_role: str) -> None:
    async def main() -> None:
        async with stage.async_client() as vault:
            credentials = await vault.rotating_static_database_credentials(static_role)
            async with asyncpg.create_pool(
                credentials, stage.database.url, min_size=1, max_size=4, max_queries=1
            ) as pool:
                with Rotating(stage, static_role) as rotating:

                    async def work(number: int) -> str:
                        async with pool.acquire() as connection:
                            await connection.execute(CHANGE.format(number))
                        return rotating.logged_in(number)

                    report = await run_async(stage.database, work, seconds=SECONDS, rotations=1)
                _prove("asyncpg", report, rotating)

    asyncio.run(main())


def test_row12_django(stage: Stage, static_role: str, django_database: Callable[..., ConnectionHandler]) -> None:
    with stage.client() as vault:
        connections = django_database({"role": static_role, "static": True, "client": lambda: vault}, max_age=0)

        def work(number: int) -> None:
            with connections["default"].cursor() as cursor:
                cursor.execute(CHANGE.format(number))
            connections["default"].close_if_unusable_or_obsolete()

        with Rotating(stage, static_role) as rotating:
            report = run(
                stage.database,
                _until_the_end(rotating, work),
                seconds=SECONDS,
                rotations=1,
                at_end=connections.close_all,
            )
        _prove("Django", report, rotating)


def test_what_is_no_refusal_is_not_repeated(stage: Stage, static_role: str) -> None:
    with stage.client() as vault:
        credentials = vault.rotating_static_database_credentials(static_role)
        tried = []

        def attempt(rotation: object) -> None:
            tried.append(rotation)
            msg = "no route to host"
            raise OSError(msg)

        with pytest.raises(OSError, match="no route"):
            _rotation.connect(credentials, attempt)
        assert len(tried) == 1


def test_the_databases_error_comes_when_vault_has_no_newer_credentials(stage: Stage) -> None:
    class RefusedError(Exception):
        sqlstate = "28P01"

    with stage.client() as vault:
        # Young credentials are not replaced: the trouble lies elsewhere.
        credentials = vault.rotating_database_credentials("app")

        def attempt(_: object) -> None:
            raise RefusedError

        with pytest.raises(RefusedError) as raised:
            _rotation.connect(credentials, attempt)
        assert isinstance(raised.value.__cause__, VaultError)


class PgConn:
    used_password = True


@pytest.mark.parametrize(
    ("text", "facts", "expected"),
    [
        ("", {"sqlstate": "28P01"}, True),
        ("", {"pgcode": "28000"}, True),
        ("password authentication failed", {"sqlstate": "53300"}, False),
        ('FATAL:  password authentication failed for user "a"', {}, True),
        ('FATAL:  role "a" does not exist', {}, True),
        ('FATAL:  role "a" is not permitted to log in', {}, True),
        ("Connection refused", {}, False),
        ("FATAL:  sorry, too many clients already", {"pgconn": PgConn()}, False),
        ('FATAL:  database "a" does not exist', {"pgconn": PgConn()}, False),
        ("FATALE: autenticazione fallita", {"pgconn": PgConn()}, True),
    ],
)
def test_refusals_are_told_from_other_errors(text: str, facts: dict[str, object], *, expected: bool) -> None:
    error = Exception(text)
    for name, value in facts.items():
        setattr(error, name, value)
    assert _rotation.refused(error) is expected
