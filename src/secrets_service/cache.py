"""Values of any kind, each with a time to live."""

from __future__ import annotations

from ._native import SecretCache

__all__ = ["SecretCache"]
