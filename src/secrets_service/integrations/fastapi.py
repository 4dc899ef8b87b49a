"""FastAPI and Starlette: the service as a part of the application, and whether it is ready.

Works with Starlette alone.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Callable, cast

from starlette.requests import HTTPConnection  # noqa: TC002 - FastAPI looks at it
from starlette.responses import JSONResponse
from starlette.routing import Route

from secrets_service.service import AsyncSecretsService

from ._readiness import check_async

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable
    from contextlib import AbstractAsyncContextManager

    from starlette.applications import Starlette
    from starlette.requests import Request

__all__ = ["lifespan", "readiness_route", "secrets"]


def lifespan(
    make: Callable[[], AsyncSecretsService] = AsyncSecretsService,
) -> Callable[[Starlette], AbstractAsyncContextManager[None]]:
    """Return a lifespan: the service is made at start, and closed (leases and login given back) at the end.

    Vault is not spoken to at start, so that the application can start while Vault is away.

    Args:
        make: Makes the service; by default from environment variables.

    Returns:
        For `FastAPI(lifespan=...)`.
    """

    @asynccontextmanager
    async def live(app: Starlette) -> AsyncGenerator[None, None]:
        async with make() as service:
            app.state.secrets = service
            yield

    return live


def secrets(connection: HTTPConnection) -> AsyncSecretsService:
    """Return the application's service: `Annotated[AsyncSecretsService, Depends(secrets)]`."""
    return cast("AsyncSecretsService", connection.app.state.secrets)


def readiness_route(paths: Iterable[str] = (), *, path: str = "/ready") -> Route:
    """Return an endpoint that tells whether these secrets are there: 200 (also on stale ones) or 503, with reasons.

    Args:
        paths: The secrets that the application cannot do without.
        path: The endpoint's.

    Returns:
        For `FastAPI(routes=[...])` or `app.routes.append`.
    """
    wanted = list(paths)

    async def ready(request: Request) -> JSONResponse:
        readiness = await check_async(secrets(request).vault, wanted)
        return JSONResponse(readiness.as_dict(), status_code=readiness.http_status)

    return Route(path, ready, methods=["GET"], include_in_schema=False)
