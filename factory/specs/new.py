"""Renders a new spec, with a TODO for each missing text. Pure."""

from collections.abc import Sequence

from factory.errors import InvalidInput
from factory.specs.read import is_id, is_plain

# The question for each text that is missing.
ASKS = {
    "outcome": "who benefits, and what changes for them",
    "structure": "where the code is, its components, and what it uses",
    "contract": "the interface that others use, and where it is documented",
    "requirement": "what must be true, with numbers",
}
_SCENARIO = "Given TODO, When TODO, Then TODO."


def render(
    *,
    spec: str,
    title: str = "",
    owner: str = "",
    outcome: str = "",
    structure: str = "",
    contract: str = "",
    requirements: Sequence[tuple[str, str]] = (),
) -> str:
    """Return the text of a draft with the id ``spec``; ``requirements`` are pairs of requirement and scenario.

    An empty argument becomes a TODO, which ``lint`` finds. Raises ``InvalidInput`` for an invalid id, and for a title
    or owner that is not one printable line.
    """
    if not is_id(spec):
        raise InvalidInput(f"a spec's id consists of lower-case letters, digits and single hyphens, not {spec!r}")
    head = ["---", f"id: {_value('id', spec)}", f"title: {_value('title', title or 'TODO')}", "status: draft"]
    head += ["version: 1", f"owner: {_value('owner', owner or 'TODO')}", "---"]
    given = requirements or [("", "")]
    named = [(f"{spec.upper()}-{number}", *pair) for number, pair in enumerate(given, 1)]
    parts = [
        "\n".join(head),
        f"# {' '.join(title.split()) or spec}",
        *("## Outcome", _text("outcome", outcome)),
        *("## Structure", _text("structure", structure)),
        *("## Contract", _text("contract", contract)),
        "\n".join(f"- **{name}**: {_text('requirement', text)}" for name, text, _ in named),
        "## Validation",
        "\n".join(f"- {name}: {' '.join(scenario.split()) or _SCENARIO}" for name, _, scenario in named),
    ]
    return "\n\n".join(parts) + "\n"


def _text(name: str, given: str) -> str:
    return " ".join(given.split()) or f"TODO: {ASKS[name]}."


def _value(name: str, text: str) -> str:
    if not text.strip() or not text.isprintable():
        raise InvalidInput(f"the {name} must be one line of printable text, not {text!r}")
    plain = text.strip()
    return plain if is_plain(plain) else "'" + plain.replace("'", "''") + "'"
