"""Data types for secrets: the value, its location, and the stored version."""

import hmac
from dataclasses import dataclass
from typing import NoReturn, Self

_HIDDEN = "Secret(hidden)"


class Secret:
    """A text that only ``reveal`` returns; formatting, logging and JSON do not show it.

    It can be compared and used as a key of a dict. It cannot be pickled, so that no workflow's store contains it.
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

    def __deepcopy__(self, memo: dict[int, object]) -> Self:
        return self

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a secret cannot be pickled")


@dataclass(frozen=True)
class SecretLocation:
    """The location of a secret: its name in policy, its path at a provider, the CI variable that may contain a copy.

    ``protected`` says that the copy is for protected refs only.
    """

    name: str
    path: str
    variable: str = ""
    protected: bool = True


@dataclass(frozen=True)
class StoredSecret:
    """A secret stored at a provider; ``version`` counts from 1, or is 0 if the provider has no versions."""

    value: Secret
    version: int = 0
    created: str = ""
