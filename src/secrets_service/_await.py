"""The one Python frame between a coroutine of this package and the native half."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable

T = TypeVar("T")


async def outcome(operation: Awaitable[T]) -> T:
    """Begin the operation when awaited, so that a coroutine that is never awaited does nothing.

    The operation keeps its arguments and its result to itself: no value is ever a local variable here.
    """
    return await operation
