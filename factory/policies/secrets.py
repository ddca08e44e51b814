"""Defines the types of ``secrets.yml``: the provider that stores the secrets, and their names, never values."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from factory.model.secret import SecretLocation
from factory.policies.fields import Name, Strict

# The environment of the gate's job, to which nothing is deployed.
JUDGE = "judge"


class SecretRule(Strict):
    """One secret: the CI variable that may hold a copy, the jobs that read it, and its maximum age in days.

    Plan jobs read a secret without environments; plan jobs of merge requests need ``merge_requests`` too. A secret with
    environments has one value for each of them, which only jobs that deploy to that environment read. A secret with
    ``gate`` is read by the gate's job alone, as the CI variable of the environment ``judge``.
    """

    variable: Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]{0,254}$")] | None = None
    environments: Annotated[tuple[Name, ...], Field(strict=False)] = ()
    merge_requests: bool = False
    gate: bool = False
    rotate_days: Annotated[int, Field(ge=1, le=3650)]

    @model_validator(mode="after")
    def _no_deploy_from_a_merge_request(self) -> Self:
        if self.merge_requests and self.environments:
            raise ValueError("a merge request deploys nothing: leave out merge_requests, or environments")
        if self.gate and (self.merge_requests or self.environments or not self.variable):
            raise ValueError("the gate's job reads a variable alone: name it, without merge_requests and environments")
        return self

    @property
    def scopes(self) -> tuple[str, ...]:
        """The environments with a value each; one empty name if the secret has one value for all its jobs."""
        return (JUDGE,) if self.gate else self.environments or ("",)

    @property
    def protected(self) -> bool:
        """Whether only jobs of protected refs may read the value."""
        return not (self.merge_requests or self.gate)

    def place(self, name: str, environment: str = "") -> SecretLocation:
        """Return where the value is stored: for an environment, or without one for plans or merge requests' plans."""
        plans = "review" if self.merge_requests else "plan"
        folder = "gate" if self.gate else f"apply/{environment}" if environment else plans
        return SecretLocation(name, f"{folder}/{name}", self.variable or "", protected=self.protected)


class Secrets(Strict):
    """``secrets.yml``: provider, address of a remote OpenBao, audience of id tokens, secrets."""

    provider: Literal["openbao", "file", "environment"]
    address: Annotated[str, Field(pattern=r"^(https://[^/\s]+|http://127\.0\.0\.1:[0-9]+)$")] | None = None
    audience: Annotated[str, Field(pattern=r"^[!-~]+$", max_length=255)]
    secrets: dict[Name, SecretRule]

    def places(self, deploys: str = "") -> tuple[SecretLocation, ...]:
        """Return the secrets of a job that deploys to the environment ``deploys``, or by default of a plan job."""
        return tuple(
            rule.place(name, deploys)
            for name, rule in self.secrets.items()
            if not rule.gate and (deploys in rule.environments if deploys else not rule.environments)
        )
