"""Renders what an agent is told. Pure but for reading its template."""

from collections.abc import Sequence
from importlib import resources

from factory.policies.model import Policies
from factory.specs.read import Spec
from factory.system import canonical, templates
from factory.workflow.intake import Frozen
from factory.workflow.progress import Rung

_MAP_LINES = 200
_TEMPLATE = "brief.md.j2"


def render(
    frozen: Frozen,
    *,
    session: str,
    attempt: int,
    spec: Spec,
    policies: Policies,
    paths: Sequence[str],
    feedback: Sequence[str],
    rung: Rung,
    handed: str,
) -> str:
    """Return the brief of one attempt; the repository map lists what the agent may change first."""
    text = resources.files("factory.workflow").joinpath(_TEMPLATE).read_text()
    rules = policies.gates.gates
    values = {
        "session": session,
        "attempt": attempt,
        "issue": frozen.to_json(),
        "spec": spec,
        "scope": policies.scope.model_dump(),
        "gates": {
            where: [name for name, gate in rules.items() if gate.where == where] for where in ("local", "pipeline")
        },
        "feedback": list(feedback),
        "rung": rung.value,
        "handed": handed,
        "repository_map": _map(paths),
    }
    return templates.render(text, values, source=_TEMPLATE)


def version() -> str:
    """Return the digest of the template: an attempt made from another one is another experiment."""
    return canonical.digest(resources.files("factory.workflow").joinpath(_TEMPLATE).read_bytes())


def _map(paths: Sequence[str]) -> list[str]:
    ordered = sorted(paths, key=lambda path: (not path.startswith(("apps/", "specs/", "terraform/")), path))
    cut = [f"… and {len(ordered) - _MAP_LINES} more"] if len(ordered) > _MAP_LINES else []
    return [*ordered[:_MAP_LINES], *cut]
