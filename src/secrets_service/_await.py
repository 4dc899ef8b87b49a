"""What coroutines of this package need of Python."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Coroutine
    from types import TracebackType

    from typing_extensions import Self

T = TypeVar("T")


async def outcome(operation: Awaitable[T]) -> T:
    """Begin the operation when awaited, so that a coroutine that is never awaited does nothing.

    The one Python frame between a coroutine and the native half. The operation keeps its arguments and its result to
    itself: no value is ever a local variable here.
    """
    return await operation


class ClosedAtTheEnd:
    """Something for `async with`."""

    def close(self) -> Coroutine[Any, Any, None]:
        """Give back what it holds."""
        raise NotImplementedError

    async def __aenter__(self) -> Self:
        """Use it for the duration of a block."""
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close it at the end of the block."""
        await self.close()
