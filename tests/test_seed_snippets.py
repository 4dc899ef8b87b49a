"""The examples that this package's API was designed by: typed as they stand, they work."""

from __future__ import annotations

import inspect
import re
import socket
import sys
import textwrap
from typing import TYPE_CHECKING, Any

import pytest
from gds_vault import VaultClient

import secrets_service
from secrets_service import ResilientVaultClient, SecretCache, SecretsService, VaultConfig, retry_with_backoff
from secrets_service._native import DevVault

if TYPE_CHECKING:
    from collections.abc import Iterator

# Unchanged, but for bodies that say "Implement test": those are filled in below.
CACHE_TEST = '''
# tests/test_cache.py
import pytest
from secrets_service.cache import SecretCache


def test_cache_set_and_get():
    """Test basic cache operations."""
    cache = SecretCache(default_ttl_seconds=60)
    cache.set("key", {"value": "test"})
    assert cache.get("key") == {"value": "test"}


def test_cache_expiration():
    """Test that cached values expire."""
    # Implement test
    pass


def test_cache_thread_safety():
    """Test concurrent cache access."""
    # Implement test
    pass
'''

INTEGRATION_TEST = '''
# tests/test_integration.py
import pytest
from secrets_service.vault_client import ResilientVaultClient
from secrets_service.config import VaultConfig


@pytest.fixture
def vault_config():
    """Provide test Vault configuration."""
    return VaultConfig(
        addr="http://127.0.0.1:8200",
        auth_method="token",
        token="root",
        cache_ttl_seconds=60,
    )


def test_get_secret(vault_config):
    """Test retrieving a secret from Vault."""
    client = ResilientVaultClient(vault_config)
    # Implement test
    pass
'''

SERVICE = '''
import logging
from secrets_service.config import VaultConfig
from secrets_service.vault_client import ResilientVaultClient

logger = logging.getLogger(__name__)


class MyService:
    """Example service using Vault for secrets."""

    def __init__(self):
        config = VaultConfig.from_environment()
        self._vault = ResilientVaultClient(config)

    def get_api_key(self, service_name: str) -> str:
        """Get an API key for an external service."""
        return self._vault.get_secret("secret/myapp/api-keys")[service_name]
'''

SIGNATURES = [
    (SecretCache, "(default_ttl_seconds: int = 300)"),
    (SecretCache.get, "(self, key: str)"),
    (SecretCache.set, "(self, key: str, value: Any, ttl_seconds: Optional[int] = None)"),
    (SecretCache.delete, "(self, key: str)"),
    (retry_with_backoff, "(func: Callable[[], T], max_attempts: int = 3, initial_delay: float = 0.5)"),
    (ResilientVaultClient, "(config: VaultConfig)"),
    (ResilientVaultClient.get_secret, "(self, path: str, bypass_cache: bool = False)"),
    (ResilientVaultClient.get_database_credentials, "(self, role: str)"),
    (ResilientVaultClient.close, "(self)"),
    (SecretsService, "()"),
    (SecretsService.get_database_connection_string, "(self)"),
    (SecretsService.get_api_key, "(self, service_name: str)"),
    (VaultConfig.from_environment, "()"),
]


@pytest.fixture
def vault_at_8200() -> Iterator[None]:
    """The examples say port 8200. If somebody is there already, the examples only need not to speak to them."""
    with socket.socket() as probe:
        free = probe.connect_ex(("127.0.0.1", 8200)) != 0
    if not free:
        yield
        return
    with DevVault(port=8200) as vault:
        vault.put("secret/myapp/config", {"db_host": "localhost", "db_name": "mydb"})
        yield


def run_tests(source: str) -> list[str]:
    """Runs each test function of a module, its fixtures resolved by name; returns their names."""
    module: dict[str, Any] = {}
    exec(source, module)  # noqa: S102
    ran = []
    for name, test in list(module.items()):
        if name.startswith("test_"):
            fixtures = inspect.signature(test).parameters
            test(**{fixture: inspect.unwrap(module[fixture])() for fixture in fixtures})
            ran.append(name)
    return ran


def test_the_cache_tests_as_they_stand() -> None:
    assert run_tests(CACHE_TEST) == ["test_cache_set_and_get", "test_cache_expiration", "test_cache_thread_safety"]


@pytest.mark.usefixtures("vault_at_8200")
def test_the_integration_tests_as_they_stand() -> None:
    source = re.sub("@pytest.fixture\n", "", INTEGRATION_TEST)
    assert run_tests(source) == ["test_get_secret"]


def test_the_integration_test_filled_in(dev: DevVault) -> None:
    dev.put("secret/myapp/config", {"db_host": "localhost", "db_name": "mydb"})
    body = """
    assert client.get_secret("secret/myapp/config") == {"db_host": "localhost", "db_name": "mydb"}
    client.close()
    """
    source = re.sub("@pytest.fixture\n", "", INTEGRATION_TEST).replace("http://127.0.0.1:8200", dev.addr)
    source = source.replace("    # Implement test\n    pass\n", textwrap.indent(textwrap.dedent(body), "    "))
    assert run_tests(source) == ["test_get_secret"]
    assert dev.count("GET", "secret/data/myapp/config") == 1


def test_a_service_as_it_stands(dev: DevVault, clean_environment: pytest.MonkeyPatch) -> None:
    dev.put("secret/myapp/api-keys", {"stripe": "sk_test_xxx"})
    clean_environment.setenv("VAULT_ADDR", dev.addr)
    clean_environment.setenv("VAULT_TOKEN", "root")
    module: dict[str, Any] = {"__name__": "service"}
    exec(SERVICE, module)  # noqa: S102
    assert module["MyService"]().get_api_key("stripe") == "sk_test_xxx"
    assert SecretsService().get_api_key("stripe") == "sk_test_xxx"


@pytest.mark.parametrize(("ours", "theirs"), SIGNATURES, ids=lambda value: getattr(value, "__qualname__", None))
def test_signatures_take_what_the_examples_give(ours: Any, theirs: str) -> None:  # noqa: ANN401
    """The same names in the same order with the same defaults; what we add comes after and has a default."""
    wanted = re.findall(r"(\w+)(?:: [^=,\[(]+(?:\[[^=]*\])?)?(?: = ([^,)]+))?(?:,|\))", theirs)
    if sys.version_info < (3, 10) and isinstance(ours, type):
        pytest.skip("Python 3.9 cannot tell what native constructors take")
    parameters = list(inspect.signature(ours).parameters.values())
    if ours is SecretsService:
        parameters = []
    for (name, default), parameter in zip(wanted, parameters):
        assert parameter.name == name
        if default:
            assert parameter.default == eval(default)  # noqa: S307
    for added in parameters[len(wanted) :]:
        assert added.default is not inspect.Parameter.empty or added.kind is inspect.Parameter.VAR_POSITIONAL


def test_every_module_of_the_layout_is_there() -> None:
    for module, names in {
        "config": ["VaultConfig"],
        "cache": ["SecretCache"],
        "retry": ["retry_with_backoff"],
        "vault_client": ["ResilientVaultClient"],
        "service": ["SecretsService"],
    }.items():
        for name in names:
            assert getattr(getattr(secrets_service, module), name) is getattr(secrets_service, name)
    assert VaultClient.__module__.startswith("gds_vault")
