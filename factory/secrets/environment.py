"""Secrets that are given in variables: for a first run, and inside jobs. Nothing can be written there."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from factory.errors import NotFound, Refused
from factory.model.secret import Secret, SecretLocation, StoredSecret


@dataclass(frozen=True)
class Variables:
    """The given variables, by the names that policy knows."""

    given: Mapping[str, str] = field(repr=False)

    def get(self, place: SecretLocation) -> StoredSecret:
        """Return what the place's variable holds; raises ``NotFound``."""
        value = self.given.get(place.variable, "") if place.variable else ""
        if not value:
            raise NotFound(
                f"the secret {place.name} is in no variable {place.variable or '(policy names none)'}",
                hint="Set the variable, or choose another provider in policies/secrets.yml.",
            )
        return StoredSecret(Secret(value))

    def put(self, place: SecretLocation, value: Secret, *, version: int | None = None) -> int:
        """Refuse: whoever sets the variable changes it."""
        del value, version
        raise Refused(
            f"{place.name} comes from a variable, which the factory can't write",
            hint="Set the variable where it comes from, or choose provider openbao or file in policies/secrets.yml.",
        )

    def names(self) -> tuple[str, ...]:
        """Return nothing: which variables are secrets is for policy to say."""
        return ()
