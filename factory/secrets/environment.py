"""Reads secrets from environment variables, for a first run and inside jobs. It cannot write secrets."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from factory.errors import NotFound, Refused
from factory.model.secret import Secret, SecretLocation, StoredSecret


@dataclass(frozen=True)
class Variables:
    """Environment variables by name; policy says which of them are secrets."""

    given: Mapping[str, str] = field(repr=False)

    def get(self, place: SecretLocation) -> StoredSecret:
        """Return the value of the place's variable; raises ``NotFound``."""
        value = self.given.get(place.variable, "") if place.variable else ""
        if not value:
            where = f"the variable {place.variable} is not set" if place.variable else "policy names no variable"
            raise NotFound(
                f"the secret {place.name} was not found: {where}",
                hint="Set the variable, or choose another provider in policies/secrets.yml.",
            )
        return StoredSecret(Secret(value))

    def put(self, place: SecretLocation, value: Secret, *, version: int | None = None) -> int:
        """Raise ``Refused``: the factory cannot change variables."""
        del value, version
        raise Refused(
            f"{place.name} comes from a variable, which the factory can't write",
            hint="Change the variable yourself, or choose the provider openbao or file in policies/secrets.yml.",
        )

    def names(self) -> tuple[str, ...]:
        """Return nothing, because only policy says which variables are secrets."""
        return ()
