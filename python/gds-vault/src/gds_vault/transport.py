"""Requests to Vault over connections that stay open.

The class is native: it has no Python frame that a traceback could show with a token in it.
"""

from __future__ import annotations

from gds_vault._native import VaultTransport

__all__ = ["VaultTransport"]
