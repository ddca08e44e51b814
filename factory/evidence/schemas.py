"""The JSON Schemas (draft 2020-12) of the envelope and of each kind of statement, for verifiers that are not ours."""

from collections.abc import Mapping

from factory.evidence import predicates, sign, statement

_TEXT: Mapping[str, object] = {"type": "string"}


def schemas() -> dict[str, object]:
    """Return the schema of the DSSE envelope, and of each kind's statement by kind.

    ``x-subjects`` are the predicate's fields whose digests the subjects must name.
    """
    signature = _object({"keyid": _TEXT, "sig": _TEXT})
    envelope = _object(
        {
            "payload": _TEXT,
            "payloadType": {"enum": [sign.PAYLOAD_TYPE]},
            "signatures": {"type": "array", "minItems": 1, "items": signature},
        }
    )
    return {"envelope": envelope, **{kind: _statement(kind) for kind in statement.KINDS}}


def _statement(kind: str) -> Mapping[str, object]:
    sha256 = _object({"sha256": {"type": "string", "pattern": "^[0-9a-f]{64}$"}})
    commit = _object({"gitCommit": {"type": "string", "pattern": "^[0-9a-f]{40}$"}})
    subject = _object({"name": {"type": "string", "pattern": "(?s)."}, "digest": {"anyOf": [sha256, commit]}})
    found = _object(
        {
            "_type": {"enum": [statement.STATEMENT_TYPE]},
            "subject": {"type": "array", "minItems": 1, "items": subject},
            "predicateType": {"enum": [types[kind] for types in (statement.KINDS, statement.EARLIER) if kind in types]},
            "predicate": predicates.schema(kind),
        }
    )
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **found, "x-subjects": predicates.bound(kind)}


def _object(fields: Mapping[str, object]) -> dict[str, object]:
    return {"type": "object", "properties": fields, "required": list(fields), "additionalProperties": False}
