"""Defines the value types of policies and the texts that each accepts."""

from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from factory.policies.path_patterns import unmatchable

Count = Annotated[int, Field(ge=0, le=1_000_000_000)]
Positive = Annotated[int, Field(ge=1, le=1_000_000_000)]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,62}$")]
Action = Literal["create", "update", "delete"]
Money = Annotated[float, Field(ge=0, le=1_000_000, strict=False)]
Percent = Annotated[int, Field(ge=1, le=100)]
Capability = Literal["edit", "run", "usage", "resume", "cancel"]
Host = Annotated[str, Field(pattern=r"^(\*\.)?[a-z0-9-]+(\.[a-z0-9-]+)*(:[0-9]{1,5})?$")]
Account = Annotated[str, Field(min_length=1, max_length=255)]

# Rules that exceptions cannot name: the protection of the judge and of the keys,
# leaked secrets, and the exceptions themselves.
_NEVER_EXCEPTED = ("scope.protected", "scope.trust", "secrets.", "exception.")

# The prefix of the labels that mirror an issue's state; only the factory sets them.
STATE_LABELS = "factory::"


def exceptable(rule: str) -> bool:
    """Tell whether an exception may name a rule."""
    return not rule.startswith(_NEVER_EXCEPTED)


def _pattern(text: str) -> str:
    if problem := unmatchable(text):
        raise ValueError(f"{text!r} cannot match any path: it {problem}")
    return text


def _path(text: str) -> str:
    if text != "." and (text.startswith(("/", "-")) or {"", ".", ".."} & set(text.split("/"))):
        raise ValueError(f"{text!r} is no path below the repository")
    return text


def _rule(text: str) -> str:
    if not exceptable(text):
        raise ValueError(f"exceptions cannot name {text}")
    return text


def _label(text: str) -> str:
    if text.casefold().startswith(STATE_LABELS):
        raise ValueError(f"{text} mirrors an issue's state; agents cannot set it")
    return text


def _day(text: str) -> str:
    try:
        datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError as error:
        raise ValueError(f"{text} is not a date in the calendar") from error
    return text


# A file or folder below the repository, or `.`.
RepositoryPath = Annotated[str, Field(max_length=200), AfterValidator(_path)]
Pattern = Annotated[str, Field(min_length=1, max_length=500), AfterValidator(_pattern)]
ExceptableRule = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]*(\.[a-z0-9_-]+)+$"), AfterValidator(_rule)]
Day = Annotated[str, Field(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"), AfterValidator(_day)]
Label = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9 _.:/-]{0,99}$"), AfterValidator(_label)]


class Strict(BaseModel):
    """Base of all policy types: rejects unknown keys and values of another type; instances are immutable."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, defer_build=True)
