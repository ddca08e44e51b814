"""``secrets.yml``: which provider keeps the secrets, and which there are. Never a value."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from factory.model.secret import SecretLocation
from factory.policies.fields import Name, Strict


class SecretRule(Strict):
    """One secret: the CI variable that may hold a copy, who reads it, and after how many days it is made anew.

    Jobs that plan read a secret without environments, those of a merge request only where ``merge_requests`` says so;
    another one is read by jobs that deploy to one of its environments, and each has a value of its own.
    """

    variable: Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]{0,254}$")] | None = None
    environments: Annotated[tuple[Name, ...], Field(strict=False)] = ()
    merge_requests: bool = False
    rotate_days: Annotated[int, Field(ge=1, le=3650)]

    @model_validator(mode="after")
    def _no_deploy_from_a_merge_request(self) -> Self:
        if self.merge_requests and self.environments:
            raise ValueError("a merge request deploys nothing: leave out merge_requests, or environments")
        return self

    def place(self, name: str, environment: str = "") -> SecretLocation:
        """Return where the value is kept for an environment, for plans, or for merge requests' plans too."""
        plans = "review" if self.merge_requests else "plan"
        folder = f"apply/{environment}" if environment else plans
        return SecretLocation(name, f"{folder}/{name}", self.variable or "", protected=not self.merge_requests)


class Secrets(Strict):
    """``secrets.yml``: provider, address of OpenBao where it is not the local one, audience of id tokens, secrets."""

    provider: Literal["openbao", "file", "environment"]
    address: Annotated[str, Field(pattern=r"^(https://[^/\s]+|http://127\.0\.0\.1:[0-9]+)$")] | None = None
    audience: Annotated[str, Field(pattern=r"^[!-~]+$", max_length=255)]
    secrets: dict[Name, SecretRule]

    def places(self, deploys: str = "") -> tuple[SecretLocation, ...]:
        """Return what a job may read that deploys to an environment, or one that only plans."""
        return tuple(
            rule.place(name, deploys)
            for name, rule in self.secrets.items()
            if (deploys in rule.environments if deploys else not rule.environments)
        )
