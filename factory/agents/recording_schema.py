"""JSON Schema (draft 2020-12) of the recordings that ``recording.read`` accepts, for editors and other tools."""

from collections.abc import Mapping

from factory.agents.recording import FORMAT

_TEXT = {"type": "string"}
_NAMED = {"type": "string", "pattern": r"\S"}
_COUNT = {"type": "integer", "minimum": 0}


def _object(required: tuple[str, ...], **properties: object) -> dict[str, object]:
    return {"type": "object", "required": list(required), "additionalProperties": False, "properties": properties}


_TURN = _object(
    (),
    say=_TEXT,
    tools={"type": "array", "items": _TEXT},
    patch={"type": "string", "pattern": "^(diff --git |$)"},
    usage=_object((), input=_COUNT, output=_COUNT, cached=_COUNT, thought=_COUNT),
)
_REQUEST = {"type": "object", "required": ["kind", "why"], "properties": {"kind": _NAMED, "why": _NAMED, "id": _TEXT}}
_ATTEMPT = _object(
    ("turns",),
    made_by=_object(("agent",), agent=_NAMED, version=_TEXT, model=_TEXT, brief=_TEXT),
    base=_TEXT,
    reason=_TEXT,
    question=_TEXT,
    outputs={"type": "array", "items": _REQUEST},
    turns={"type": "array", "items": _TURN},
)
SCHEMA: Mapping[str, object] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "Recording",
    "description": "The attempts of an agent for one issue, which the replay agent plays.",
    **_object(
        ("spec", "title", "attempts"),
        format={"const": FORMAT},
        spec=_NAMED,
        title=_NAMED,
        session=_TEXT,
        attempts={"type": "array", "minItems": 1, "items": _ATTEMPT},
    ),
}
