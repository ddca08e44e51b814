"""Secrets as values: what holds one, where one is kept, and which version was found."""

import hmac
from dataclasses import dataclass
from typing import Any, NoReturn, Self

_HIDDEN = "Secret(hidden)"


class Secret:
    """A text that shows itself only to whoever calls ``reveal``; formatting, logging and JSON show nothing of it.

    It can be compared and kept in a dict, and is never pickled: a workflow's store takes none.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the text."""
        return self._value

    def __bool__(self) -> bool:
        return bool(self._value)

    def __repr__(self) -> str:
        return _HIDDEN

    def __str__(self) -> str:
        return _HIDDEN

    def __format__(self, spec: str) -> str:
        return format(_HIDDEN, spec)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and hmac.compare_digest(self._value.encode(), other._value.encode())

    def __hash__(self) -> int:
        return hash((Secret, self._value))

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise TypeError("a secret is not written to a store")


@dataclass(frozen=True)
class SecretLocation:
    """Where a secret is kept: its name in policy, its path at a provider, the CI variable that may hold a copy.

    ``protected`` says that the copy is for protected refs alone.
    """

    name: str
    path: str
    variable: str = ""
    protected: bool = True


@dataclass(frozen=True)
class StoredSecret:
    """A secret as a provider has it; ``version`` counts from 1, 0 where the provider keeps no versions."""

    value: Secret
    version: int = 0
    created: str = ""
