"""Computes the desired settings of the GitLab project from the policies."""

from collections.abc import Mapping
from typing import Any

from factory.gitlab.settings import approvals
from factory.gitlab.settings.model import LEVELS, Fields, State
from factory.gitlab.settings.run import DesiredSection
from factory.gitlab.settings.variables import HIDDEN, Fingerprint
from factory.policies.fields import Strict
from factory.policies.gitlab import Runner
from factory.policies.model import Policies
from factory.workflow.context import SIMULATED_APPROVER

_COLOURS = ("#1f75cb", "#6699cc", "#8fbc8f", "#d99530", "#dd2b0e", "#9400d3")
_RULE, _OPERATOR = "a person", "operator"
# The gate of a project that has infrastructure.
_PLAN = "plan"
# The tags that the jobs of the pipeline definition name if the CI variable FACTORY_RUNNERS is `own`.
_OWN_RUNNERS = {
    name: Runner(tags=(name,), protected=protected)
    for name, protected in (("factory-protected", True), ("factory-merge-requests", False))
}


def wanted(
    policies: Policies, *, project: str, accounts: Mapping[str, str], rehearsal: bool = False
) -> dict[str, DesiredSection]:
    """Return the desired state by section name; ``{project}`` in a value becomes the project's path.

    ``accounts`` maps the account names of the policies to GitLab usernames. With ``rehearsal``, the simulated approver
    may approve too.
    """
    given = policies.gitlab
    found: dict[str, State] = {}
    if given.members is not None:
        found["members"] = {name: {"role": role} for name, role in given.members.items()}
    if given.project is not None:
        fields = _fields(given.project)
        placed = {
            name: value.replace("{project}", project) if isinstance(value, str) else value
            for name, value in fields.items()
        }
        found["project"] = {"project": placed}
    for name in ("branches", "tags", "resource_groups", "schedules", "hooks", "runners"):
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
        settings = {name: value for name, value in _fields(given.approvals).items() if name != "people"}
        people = [*given.approvals.people, *([f"@{SIMULATED_APPROVER}"] if rehearsal else [])]
        rule = {"required": policies.approvals.merge.required, "people": people}
        found["approvals"] = {approvals.KEY: settings, approvals.rule(_RULE): rule}
    if given.job_token is not None:
        found["job_token"] = {"job_token": _fields(given.job_token)}
    if given.variables is not None:
        found["variables"] = _variables(policies)
    if given.push_rule is not None:
        found["push_rule"] = {"push_rule": _fields(given.push_rule)}
    found["labels"] = _labels(policies)
    enforced: set[str] = set(given.enforce)
    renamed = {f"@{name}": f"@{username}" for name, username in accounts.items()}
    if "members" in found:
        found["members"] = _members(found["members"], accounts)
    return {name: DesiredSection(_renamed(state, renamed), enforce=name in enforced) for name, state in found.items()}


def _members(given: State, accounts: Mapping[str, str]) -> State:
    """Return the role of each user: the strongest one of their accounts. The operator's role is not managed."""
    found: dict[str, Fields] = {}
    for name, fields in given.items():
        username = accounts.get(name, name)
        known = found.get(username)
        if username != accounts.get(_OPERATOR) and (not known or LEVELS[known["role"]] < LEVELS[fields["role"]]):
            found[username] = fields
    return found


def _renamed(value: Any, names: Mapping[str, str]) -> Any:
    """Replace the account names in a value by GitLab usernames."""
    if isinstance(value, Mapping):
        return {names.get(key, key): _renamed(item, names) for key, item in value.items()}
    if isinstance(value, list):
        return list(dict.fromkeys(_renamed(item, names) for item in value))
    return names.get(value, value) if isinstance(value, str) else value


def runners(policies: Policies) -> dict[str, Fields]:
    """Return the runners of ``gitlab.yml``; without that section, the two that the pipeline's jobs name."""
    named = _OWN_RUNNERS if policies.gitlab.runners is None else policies.gitlab.runners
    return {name: _fields(item) for name, item in named.items()}


def _variables(policies: Policies) -> dict[str, Fields]:
    """Return the CI variables of ``gitlab.yml``, and those of ``secrets.yml`` without their values.

    Where no gate judges plans, the project has no infrastructure, and no job reads another secret than the gate's.
    """
    found: dict[str, Fields] = {}
    read = [item for item in policies.secrets.secrets.values() if item.gate or _PLAN in policies.gates.gates]
    for secret in read:
        for environment in secret.scopes if secret.variable else ():
            name = f"{secret.variable} {environment}".strip()
            found[name] = {"value": HIDDEN, "protected": secret.protected}
    for name, item in (policies.gitlab.variables or {}).items():
        found[name] = {**_fields(item), "value": Fingerprint(item.value)}
    return found


def _labels(policies: Policies) -> dict[str, Fields]:
    """Return the labels of the session states and those of ``gitlab.yml``."""
    names = policies.session.labels.model_dump().values()
    found: dict[str, Fields] = {name: {"color": _COLOURS[at % len(_COLOURS)]} for at, name in enumerate(names)}
    return found | {name: _fields(item) for name, item in (policies.gitlab.labels or {}).items()}


def _fields(item: Strict) -> dict[str, object]:
    """Return the fields of a policy that are set, as JSON values."""
    return item.model_dump(mode="json", exclude_none=True)
