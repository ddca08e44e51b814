"""Renders the brief of an agent. Pure except for reading the template."""

import re
from collections.abc import Sequence
from dataclasses import asdict
from importlib import resources

from factory.model.attempt import Escalation
from factory.model.issue import FrozenIssue
from factory.policies.model import Policies
from factory.specs.read import Spec
from factory.system import canonical, templates
from factory.workflow.session.guides import Skill

_MAP_LINES = 200
_TEMPLATE = "brief.md.j2"


def render(
    frozen: FrozenIssue,
    *,
    session: str,
    attempt: int,
    spec: Spec,
    policies: Policies,
    paths: Sequence[str],
    feedback: Sequence[str],
    escalation: Escalation,
    handed: str,
    skills: Sequence[Skill],
    refused: Sequence[str],
    interrupted: bool = False,
    template: str | None = None,
) -> str:
    """Return the brief of one attempt. The repository map begins with the folders that hold apps, specs and Terraform.

    ``interrupted`` tells that the agent continues its session after a crash. ``template`` replaces the shipped
    template, to compare both in an evaluation.
    """
    rules = policies.gates.gates
    values = {
        "session": session,
        "attempt": attempt,
        "issue": asdict(frozen),
        "spec": spec,
        "scope": policies.scope.model_dump(),
        "gates": {
            where: [name for name, gate in rules.items() if gate.where == where] for where in ("local", "pipeline")
        },
        "feedback": list(feedback),
        "escalation": escalation.value,
        "handed": handed,
        "fence": _fence(frozen.title + frozen.text),
        "skills": list(skills),
        "refused": list(refused),
        "interrupted": interrupted,
        "repository_map": _map(paths),
    }
    return templates.render(shipped() if template is None else template, values, source=_TEMPLATE)


def shipped() -> str:
    """Return the shipped template."""
    return resources.files("factory.workflow.session").joinpath(_TEMPLATE).read_text()


def version(template: str | None = None) -> str:
    """Return the digest of a template, by default the shipped one; it identifies the template in evaluations."""
    return canonical.digest((shipped() if template is None else template).encode())


def _fence(text: str) -> str:
    """Return a fence of tildes longer than any in a text, so that the text cannot close it (CommonMark 0.31.2 §4.5)."""
    longest = max((len(run) for run in re.findall("~+", text)), default=0)
    return "~" * max(4, longest + 1)


def _map(paths: Sequence[str]) -> list[str]:
    ordered = sorted(paths, key=lambda path: (not path.startswith(("apps/", "specs/", "terraform/")), path))
    cut = [f"… and {len(ordered) - _MAP_LINES} more"] if len(ordered) > _MAP_LINES else []
    return [*ordered[:_MAP_LINES], *cut]
