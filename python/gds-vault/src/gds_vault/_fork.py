"""Forks: a child has the parent's objects, but none of its threads.

A lock that another thread held at the moment of the fork stays locked for ever in the child, and what it guarded may
be half changed. Objects with locks register here, and are told in the child.
"""

from __future__ import annotations

import os
import weakref
from abc import ABC, abstractmethod


class ForkAware(ABC):
    """Something that has to be put right in a forked child."""

    @abstractmethod
    def _after_fork_in_child(self) -> None:
        """Make new locks; drop what may be half changed. Runs before any other code of the child."""


_registered: weakref.WeakSet[ForkAware] = weakref.WeakSet()


def register(forked: ForkAware) -> None:
    """Tell this object about forks for as long as it lives."""
    _registered.add(forked)


def _tell_all() -> None:
    for forked in list(_registered):
        forked._after_fork_in_child()  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]


if hasattr(os, "register_at_fork"):  # Not on Windows, which does not fork.
    os.register_at_fork(after_in_child=_tell_all)
