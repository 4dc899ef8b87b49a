"""The distribution."""

from __future__ import annotations

from importlib import metadata

import gds_vault


def test_nothing_is_fetched_and_nothing_uploaded_by_accident() -> None:
    facts = metadata.metadata("gds-vault")
    assert "Private :: Do Not Upload" in (facts.get_all("Classifier") or [])
    assert [need for need in metadata.requires("gds-vault") or [] if "extra ==" not in need] == []
    assert facts["Version"] == gds_vault.__version__
