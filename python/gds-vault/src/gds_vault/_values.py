"""Secret values on their way through: copied, and not shown."""

from __future__ import annotations

from typing import Any

_CONTAINERS = frozenset((dict, list))


def own(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    """Copy what JSON can hold, so that changing the copy does not change the original. Other objects are shared."""
    kind: object = value.__class__
    if kind is dict:
        # Most secrets are flat: their fields are looked at here, not one call each.
        return {key: own(item) if type(item) in _CONTAINERS else item for key, item in value.items()}
    if kind is list:
        return [own(item) for item in value]
    return value


class Kept:
    """Values out of a cache, in an object that does not show them: frames and tracebacks see only this."""

    __slots__ = ("_is_copy", "_value")

    def __init__(self, value: dict[str, Any], is_copy: bool) -> None:
        self._value = value
        self._is_copy = is_copy

    @classmethod
    def of(cls, value: dict[str, Any] | None, *, is_copy: bool) -> Kept | None:
        """Hide a value at once: what comes after may fail, and its traceback shows what it has.

        ``is_copy`` says that the cache copies what it returns, as ours do.
        """
        return None if value is None else cls(value, is_copy)

    @classmethod
    def with_age(cls, found: tuple[dict[str, Any], float] | None) -> tuple[Kept, float] | None:
        """Hide a value that comes with its age."""
        return None if found is None else (cls(found[0], False), found[1])

    def take(self) -> dict[str, Any]:
        """Return the values to the only one who asks."""
        return self._value if self._is_copy else self.data()

    def data(self) -> dict[str, Any]:
        """Return a copy."""
        copy: dict[str, Any] = own(self._value)
        return copy

    def __repr__(self) -> str:
        """Show nothing."""
        return "Kept([redacted])"
