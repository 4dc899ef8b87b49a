"""Django: databases whose credentials rotate.

```python
DATABASES = {
    "default": {
        "ENGINE": "secrets_service.integrations.django.postgresql",
        "NAME": "myapp",
        "HOST": "db.example.com",
        "CONN_MAX_AGE": None,  # a connection stays until its credentials end
        "OPTIONS": {"vault": {"role": "myapp"}},
    }
}
```

The client is made from environment variables. Another one: `"client": "myproject.vault.client"`, the name of a function
that returns it, the same one each time. A static role: `"static": True`.
"""

# Django has no types.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false, reportInvalidTypeArguments=false

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Optional

from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

from secrets_service.config import VaultConfig
from secrets_service.vault_client import ResilientVaultClient

if TYPE_CHECKING:
    from collections.abc import Mapping

    from secrets_service.vault_client import RotatingCredentials

__all__ = ["credentials_for"]

_KNOWN = frozenset({"role", "static", "client"})
_lock = threading.Lock()
_default_client: Optional[ResilientVaultClient] = None
# By the client itself: another one that comes to live at the same address has other credentials.
_credentials: dict[tuple[ResilientVaultClient, str, bool], RotatingCredentials] = {}


def credentials_for(options: Mapping[str, Any]) -> RotatingCredentials:
    """Return the credentials that `OPTIONS["vault"]` describes; the same for the same description.

    Raises:
        ImproperlyConfigured: It describes none.
    """
    if "role" not in options or not _KNOWN.issuperset(options):
        msg = 'OPTIONS["vault"] needs a "role", and may have "static" and "client"'
        raise ImproperlyConfigured(msg)
    with _lock:
        client = _client(options.get("client"))
        key = (client, str(options["role"]), bool(options.get("static")))
        if key not in _credentials:
            get = client.rotating_static_database_credentials if key[2] else client.rotating_database_credentials
            _credentials[key] = get(key[1])
        return _credentials[key]


def _client(wanted: Any) -> ResilientVaultClient:  # noqa: ANN401
    global _default_client  # noqa: PLW0603 - one for the process, as Django's settings are
    if wanted is not None:
        client: ResilientVaultClient = (import_string(wanted) if isinstance(wanted, str) else wanted)()
        return client
    if _default_client is None:
        _default_client = ResilientVaultClient(VaultConfig.from_environment())
    return _default_client
