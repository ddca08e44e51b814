"""What the project must be on GitLab, put together from the policies: each number is said in one file."""

from typing import Any

from factory.gitlab.settings import approvals
from factory.gitlab.settings.model import Fields, State
from factory.gitlab.settings.run import Wanted
from factory.policies.fields import Strict
from factory.policies.model import Policies

_COLOURS = ("#1f75cb", "#6699cc", "#8fbc8f", "#d99530", "#dd2b0e", "#9400d3")
_RULE = "a person"


def wanted(policies: Policies, *, project: str) -> dict[str, Wanted]:
    """Return the wanted state by section name; ``{project}`` in a value becomes the project's path."""
    given = policies.gitlab
    found: dict[str, State] = {}
    if given.members is not None:
        found["members"] = {name: {"role": role} for name, role in given.members.items()}
    if given.project is not None:
        fields = _fields(given.project)
        placed = {
            name: value.format(project=project) if isinstance(value, str) else value for name, value in fields.items()
        }
        found["project"] = {"project": placed}
    for name in ("branches", "tags", "resource_groups", "schedules", "hooks"):
        if (section := getattr(given, name)) is not None:
            found[name] = {key: _fields(item) for key, item in section.items()}
    if given.environments is not None:
        found["environments"] = {
            name: {
                "deploy": list(item.deploy),
                "approvals": dict.fromkeys(item.approvers, policies.environments.asked(name)),
            }
            for name, item in given.environments.items()
        }
    if given.approvals is not None:
        settings = _fields(given.approvals)
        people = settings.pop("people")
        rule = {"required": policies.approvals.merge.required, "people": people}
        found["approvals"] = {approvals.KEY: settings, approvals.rule(_RULE): rule}
    if given.push_rule is not None:
        found["push_rule"] = {"push_rule": _fields(given.push_rule)}
    if given.job_token is not None:
        found["job_token"] = {"job_token": _fields(given.job_token)}
    found["labels"] = _labels(policies)
    enforced: set[str] = set(given.enforce)
    return {name: Wanted(state, enforce=name in enforced) for name, state in found.items()}


def _labels(policies: Policies) -> dict[str, Fields]:
    """Return the labels that mirror states, and those of ``gitlab.yml``."""
    names = policies.workflow.labels.model_dump().values()
    found: dict[str, Fields] = {name: {"color": _COLOURS[at % len(_COLOURS)]} for at, name in enumerate(names)}
    return found | {name: _fields(item) for name, item in (policies.gitlab.labels or {}).items()}


def _fields(item: Strict) -> dict[str, Any]:
    """Return a policy's fields that are set, lists as JSON has them."""
    return item.model_dump(mode="json", exclude_none=True)
