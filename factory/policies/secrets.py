"""``secrets.yml``: which provider keeps the secrets, and which there are. Never a value."""

from typing import Annotated, Literal

from pydantic import Field

from factory.model.secret import Place
from factory.policies.fields import Name, Strict


class SecretRule(Strict):
    """One secret: the CI variable that may hold a copy, who reads it, and after how many days it is made anew.

    Jobs that plan read a secret without environments; another one is read by jobs that deploy to one of them, and
    each environment has a value of its own.
    """

    variable: Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]{0,254}$")] | None = None
    environments: Annotated[tuple[Name, ...], Field(strict=False)] = ()
    rotate_days: Annotated[int, Field(ge=1, le=3650)]

    def path(self, name: str, environment: str) -> str:
        """Return where a provider keeps the value for an environment, or for plans."""
        return f"apply/{environment}/{name}" if environment else f"plan/{name}"


class Secrets(Strict):
    """``secrets.yml``: provider, address of OpenBao where it is not the local one, audience of id tokens, secrets."""

    provider: Literal["openbao", "file", "environment"]
    address: Annotated[str, Field(pattern=r"^(https://[^/\s]+|http://127\.0\.0\.1:[0-9]+)$")] | None = None
    audience: Annotated[str, Field(pattern=r"^[!-~]+$", max_length=255)]
    secrets: dict[Name, SecretRule]

    def places(self, deploys: str = "") -> tuple[Place, ...]:
        """Return what a job may read that deploys to an environment, or one that only plans."""
        return tuple(
            Place(name, rule.path(name, deploys), rule.variable or "")
            for name, rule in self.secrets.items()
            if (deploys in rule.environments if deploys else not rule.environments)
        )
