"""The exceptions, which `secrets_service` shares."""

from __future__ import annotations

import copy
import pickle

import pytest

from gds_vault import exceptions


@pytest.mark.parametrize("name", exceptions.__all__)
def test_every_error_is_a_vault_error_with_facts(name: str) -> None:
    cls = getattr(exceptions, name)
    error = cls("what", path="secret/x", status=503, retry_after=2.0, kind="sealed")
    assert isinstance(error, exceptions.VaultError)
    assert str(error) == "what"
    for twin in (copy.copy(error), pickle.loads(pickle.dumps(error))):
        assert type(twin) is cls
        assert vars(twin) == vars(error)


def test_what_can_be_retried_follows_from_the_class() -> None:
    assert exceptions.VaultConnectionError().retryable
    assert exceptions.VaultAuthUnavailableError().retryable
    assert not exceptions.VaultAuthError().retryable
    assert not exceptions.VaultConnectionError(retryable=False).retryable


def test_a_login_that_vault_was_unavailable_for_is_both() -> None:
    error = exceptions.VaultAuthUnavailableError()
    assert isinstance(error, exceptions.VaultAuthError)
    assert isinstance(error, exceptions.VaultConnectionError)
