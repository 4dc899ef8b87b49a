"""Flask: the service as an extension, and whether it is ready."""

from __future__ import annotations

from typing import TYPE_CHECKING, Callable, Optional, cast

from flask import Flask, current_app
from werkzeug.local import LocalProxy

from secrets_service.service import SecretsService

from ._readiness import check

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flask.typing import ResponseReturnValue

__all__ = ["Secrets", "current_secrets"]

_NAME = "secrets_service"


class Secrets:
    """The extension: `Secrets(app)`, or `init_app` later.

    The service is made with the application, but does not speak to Vault before something is asked for. It may be made
    before a fork (`gunicorn --preload`).
    """

    def __init__(
        self,
        app: Optional[Flask] = None,
        make: Callable[[], SecretsService] = SecretsService,
        *,
        ready: Optional[str] = "/ready",
        paths: Iterable[str] = (),
    ) -> None:
        """Describe the extension.

        Args:
            app: The application, if it is there already.
            make: Makes the service; by default from environment variables.
            ready: The path of the readiness endpoint; None: there is none.
            paths: The secrets that the application cannot do without: the endpoint reads them.
        """
        self._make = make
        self._ready = ready
        self._paths = list(paths)
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask) -> None:
        """Make the service of an application, and its readiness endpoint."""
        app.extensions[_NAME] = service = self._make()

        def ready() -> ResponseReturnValue:
            readiness = check(service.vault, self._paths)
            return readiness.as_dict(), readiness.http_status

        if self._ready is not None:
            app.add_url_rule(self._ready, "secrets_service_ready", ready)


def _current() -> SecretsService:
    return cast("SecretsService", current_app.extensions[_NAME])


current_secrets = cast("SecretsService", LocalProxy(_current))
"""The service of the application that handles the current request."""
