"""Defines the types of ``terraform.yml``: what a plan may change, and which attribute values it must have."""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from factory.policies.fields import Count, Day, Name, Percent, Positive, Strict


def _expression(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"{text!r} is not a regular expression: {error}") from error
    return text


Regex = Annotated[str, Field(min_length=1, max_length=300), AfterValidator(_expression)]
ResourceType = Annotated[str, Field(pattern=r"^[a-z][a-z0-9]*(_[a-z0-9]+)+$")]
Attribute = Annotated[str, Field(pattern=r"^[a-z0-9_]+(\.[a-z0-9_]+)*$")]
Reason = Annotated[str, Field(min_length=10, max_length=200)]
Scalar = str | bool | int


class StackRule(Strict):
    """One folder of ``terraform/live``, and the stacks that must be planned and applied before it."""

    after: Annotated[tuple[Name, ...], Field(strict=False)] = ()


class ProtectedResources(Strict):
    """Resources that no token may destroy or replace: types, and addresses with everything below them."""

    types: Annotated[tuple[ResourceType, ...], Field(strict=False)]
    addresses: Annotated[tuple[str, ...], Field(strict=False)]


class Limits(Strict):
    """Limits of one plan: resources changed, resources destroyed, and the percentage of existing resources affected."""

    changes: Count
    destroys: Count
    percent: Percent


class Demand(Strict):
    """A required attribute value of a type, for resources that match ``where`` (attribute to regular expression).

    Exactly one of ``equals``, ``one_of`` and ``like`` (a regular expression) gives the value. A value that is known
    only after the apply is denied unless ``unknown`` is ``allow``.
    """

    type: ResourceType
    attribute: Attribute
    where: dict[Attribute, Regex] = Field(default_factory=dict)
    equals: Scalar | None = None
    one_of: Annotated[tuple[Scalar, ...], Field(strict=False)] = ()
    like: Regex | None = None
    unknown: Literal["allow", "deny"] = "deny"
    reason: Reason

    @model_validator(mode="after")
    def _one(self) -> "Demand":
        if sum((self.equals is not None, bool(self.one_of), self.like is not None)) != 1:
            raise ValueError("give exactly one of equals, one_of and like")
        return self


class Companion(Strict):
    """A resource that a plan with the type ``beside`` must also have: of type ``type``, matching ``where``."""

    beside: ResourceType
    type: ResourceType
    where: dict[Attribute, Regex]
    reason: Reason


class Noise(Strict):
    """An attribute that the provider changes by itself: until ``expires``, a change of it alone is not counted.

    ``rules.ref`` is the attribute ``ref`` of each element of the list ``rules``, and ``rules.0.ref`` that of the first.
    """

    type: ResourceType
    attribute: Attribute
    owner: Annotated[str, Field(min_length=1)]
    reason: Reason
    expires: Day


class Terraform(Strict):
    """``terraform.yml``: what a plan may do; a resource type that is not listed is denied.

    ``destroy`` says whether resources may never be destroyed, or only with a token that names the plan. ``stale`` is
    what an apply does if the state changed after the plan: refuse, or plan again and apply if both plans are equal.
    ``program`` is what plans and applies; OpenTofu's is ``tofu``.
    """

    program: Literal["terraform", "tofu"] = "terraform"
    stacks: Annotated[dict[Name, StackRule], Field(min_length=1)]
    providers: Annotated[dict[str, Annotated[str, Field(pattern=r"^\d+\.\d+\.\d+$")]], Field(min_length=1)]
    types: Annotated[tuple[ResourceType, ...], Field(min_length=1, strict=False)]
    protected: ProtectedResources
    destroy: Literal["never", "token"]
    limits: Limits
    demands: Annotated[tuple[Demand, ...], Field(strict=False)]
    companions: Annotated[tuple[Companion, ...], Field(strict=False)]
    noise: Annotated[tuple[Noise, ...], Field(strict=False)]
    stale: Literal["refuse", "replan"]
    lock_minutes: Positive
