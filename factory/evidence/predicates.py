"""Defines the predicate fields of each kind of statement, and the digests that its subjects must name.

Missing, unknown and malformed fields are rejected, so that a misspelt field is an error.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any

from factory.errors import InvalidInput


@dataclass(frozen=True)
class Form:
    """What a value must be: its JSON Schema (draft 2020-12), and a check that raises ``InvalidInput``."""

    schema: Mapping[str, object]
    check: Callable[[str, Any], None]


# RFC 8785 section 3.2.2.3: JSON numbers are IEEE 754 doubles, which are exact for whole numbers only up to this.
_LARGEST = 2**53 - 1
_COMMIT_TEXT = re.compile(r"[0-9a-f]{40}")
_DIGEST_TEXT = re.compile(r"sha256:[0-9a-f]{64}")
_TIME_TEXT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?Z")
_NAME_TEXT = re.compile(r"[a-z][a-z0-9_]*")


def is_commit(value: Any) -> bool:
    """Return whether the value is a git commit id: 40 lower-case hex digits."""
    return isinstance(value, str) and _COMMIT_TEXT.fullmatch(value) is not None


def is_digest(value: Any) -> bool:
    """Return whether the value is ``sha256:`` and 64 lower-case hex digits."""
    return isinstance(value, str) and _DIGEST_TEXT.fullmatch(value) is not None


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and value.strip() != ""


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _LARGEST


def _is_time(value: Any) -> bool:
    if not isinstance(value, str) or _TIME_TEXT.fullmatch(value) is None:
        return False
    try:
        datetime.fromisoformat(value)
    except ValueError:
        return False
    return True


def _form(expected: str, accepts: Callable[[Any], bool], schema: Mapping[str, object]) -> Form:
    def check(path: str, value: Any) -> None:
        if not accepts(value):
            raise InvalidInput(f"{path} must be {expected}, not {repr(value)[:80]}")

    return Form(schema, check)


def _one_of(*words: str) -> Form:
    expected = " or ".join(repr(word) for word in words)
    return _form(expected, lambda value: isinstance(value, str) and value in words, {"enum": list(words)})


def _or_null(form: Form) -> Form:
    def check(path: str, value: Any) -> None:
        if value is not None:
            form.check(path, value)

    return Form({"anyOf": [form.schema, {"type": "null"}]}, check)


def _object(fields: Mapping[str, Form], optional: Mapping[str, Form] = MappingProxyType({})) -> Form:
    def check(path: str, value: Any) -> None:
        if not isinstance(value, Mapping):
            raise InvalidInput(f"{path} must be an object, not {repr(value)[:80]}")
        for name in fields:
            if name not in value:
                raise InvalidInput(f"{path} lacks the field {name!r}")
        for name in value:
            if name not in fields and name not in optional:
                raise InvalidInput(f"{path} has the unknown field {name!r}")
        for name, form in {**fields, **optional}.items():
            if name in value:
                form.check(f"{path}.{name}", value[name])

    properties = {name: form.schema for name, form in {**fields, **optional}.items()}
    schema = {"type": "object", "properties": properties, "required": list(fields), "additionalProperties": False}
    return Form(schema, check)


def _either(*forms: Form) -> Form:
    def check(path: str, value: Any) -> None:
        for form in forms[:-1]:
            with suppress(InvalidInput):
                return form.check(path, value)
        return forms[-1].check(path, value)

    return Form({"anyOf": [form.schema for form in forms]}, check)


def _list(form: Form) -> Form:
    def check(path: str, value: Any) -> None:
        if not isinstance(value, list | tuple):
            raise InvalidInput(f"{path} must be a list, not {repr(value)[:80]}")
        for position, item in enumerate(value):
            form.check(f"{path}[{position}]", item)

    return Form({"type": "array", "items": form.schema}, check)


def _counts(path: str, value: Any) -> None:
    if not isinstance(value, Mapping):
        raise InvalidInput(f"{path} must be an object, not {repr(value)[:80]}")
    for name, count in value.items():
        if not isinstance(name, str) or _NAME_TEXT.fullmatch(name) is None:
            raise InvalidInput(f"{path} has the malformed name {name!r}")
        _COUNT.check(f"{path}.{name}", count)


def _names(path: str, value: Any) -> None:
    if not isinstance(value, Mapping) or not all(isinstance(item, str) for item in (*value, *value.values())):
        raise InvalidInput(f"{path} must be an object with string values, not {repr(value)[:80]}")


def _matching(pattern: re.Pattern[str]) -> Mapping[str, object]:
    return {"type": "string", "pattern": f"^{pattern.pattern}$"}


_TEXT = _form("a non-empty string", _is_text, {"type": "string", "pattern": r"\S"})
_COUNT_SCHEMA: Mapping[str, object] = {"type": "integer", "minimum": 0, "maximum": _LARGEST}
_COUNT = _form("a whole number from 0 to 2**53 - 1", _is_count, _COUNT_SCHEMA)
_FLAG = _form("true or false", lambda value: isinstance(value, bool), {"type": "boolean"})
_TIME = _form("an ISO 8601 time in UTC that ends in Z", _is_time, {**_matching(_TIME_TEXT), "format": "date-time"})
_COMMIT = _form("a commit of 40 hex digits", is_commit, _matching(_COMMIT_TEXT))
_DIGEST = _form("a digest sha256:<64 hex digits>", is_digest, _matching(_DIGEST_TEXT))
_USAGE = Form(
    {"type": "object", "patternProperties": {f"^{_NAME_TEXT.pattern}$": _COUNT_SCHEMA}, "additionalProperties": False},
    _counts,
)
_NAMES = Form({"type": "object", "patternProperties": {"": {"type": "string"}}}, _names)
_RESULT = _one_of("passed", "failed", "skipped")

_COMMON: Mapping[str, Form] = {"key": _TEXT, "project": _TEXT, "issue": _COUNT, "time": _TIME}

_FIELDS: Mapping[str, Mapping[str, Form]] = {
    "claim": {
        "session": _TEXT,
        "branch": _TEXT,
        "lease": _object({"branch": _TEXT, "commit": _COMMIT, "token": _COUNT}),
        "author": _TEXT,
        "author_role": _TEXT,
    },
    "attempt": {
        "session": _TEXT,
        "attempt": _COUNT,
        "agent": _object({"name": _TEXT, "version": _TEXT, "model": _or_null(_TEXT), "brief": _DIGEST}),
        "reason": _TEXT,
        "usage": _USAGE,
        "cost": _object(
            {"usd_micros": _COUNT, "prices": _or_null(_TEXT), "source": _TEXT}, {"priced": _FLAG, "billed": _FLAG}
        ),
        "sandbox": _object({"level": _TEXT, "limits": _NAMES}),
        "outputs": _list(
            _object(
                {
                    "id": _TEXT,
                    "kind": _TEXT,
                    "result": _TEXT,
                    "before": _or_null(_DIGEST),
                    "after": _or_null(_DIGEST),
                }
            )
        ),
        "base": _COMMIT,
        "head": _or_null(_COMMIT),
        "checks": _list(_object({"gate": _TEXT, "result": _RESULT})),
    },
    "handover": {
        "session": _TEXT,
        "attempt": _COUNT,
        "by": _TEXT,
        "base": _COMMIT,
        "head": _COMMIT,
        "files": _COUNT,
        "added": _COUNT,
        "removed": _COUNT,
    },
    "proposal": {
        "merge_request": _COUNT,
        "author": _TEXT,
        "pushers": _list(_TEXT),
        "branch": _TEXT,
        "head": _COMMIT,
        "base": _COMMIT,
        "asked": _COUNT,
        "agents": _list(_TEXT),
    },
    "verdict": {
        "merge_request": _COUNT,
        "pipeline": _COUNT,
        "judge_sha": _COMMIT,
        "head": _COMMIT,
        "result": _one_of("passed", "failed"),
        "gates": _list(_object({"name": _TEXT, "result": _RESULT, "findings": _COUNT})),
        "requirements": _list(
            _object(
                {
                    "id": _TEXT,
                    "digest": _DIGEST,
                    "result": _one_of("passed", "failed", "untested"),
                    "tests": _list(_TEXT),
                }
            )
        ),
        "excused": _COUNT,
        "policy": _DIGEST,
    },
    "approval": {
        "scope": _one_of("merge", "deploy"),
        "merge_request": _COUNT,
        "approver": _TEXT,
        "approval_type": _one_of("human", "own", "simulated"),
        "head": _COMMIT,
        "spec": _or_null(_DIGEST),
        "policy": _or_null(_DIGEST),
        "plan": _or_null(_DIGEST),
    },
    "merge": {
        "merge_request": _COUNT,
        "head": _COMMIT,
        "target": _TEXT,
        "merged_by": _TEXT,
        "merge_commit": _COMMIT,
    },
    "plan": {
        "merge_request": _or_null(_COUNT),
        "pipeline": _COUNT,
        "job": _COUNT,
        "commit": _COMMIT,
        "stack": _TEXT,
        "manifest": _DIGEST,
        "plan": _DIGEST,
        "plan_file": _DIGEST,
        "approvals": _COUNT,
    },
    "unchanged": {
        "merge_request": _COUNT,
        "pipeline": _COUNT,
        "job": _COUNT,
        "commit": _COMMIT,
    },
    "build": {
        "merge_request": _or_null(_COUNT),
        "commit": _COMMIT,
        "archive": _DIGEST,
        "buildDefinition": _object(
            {
                "buildType": _TEXT,
                "externalParameters": _object({"app": _TEXT, "source": _TEXT, "ref": _TEXT}),
                "internalParameters": _object({"pipeline": _COUNT, "job": _COUNT}),
                "resolvedDependencies": _list(
                    _either(
                        _object({"uri": _TEXT, "digest": _object({"gitCommit": _COMMIT})}),
                        _object({"name": _TEXT, "uri": _TEXT}),
                    )
                ),
            }
        ),
        "runDetails": _object(
            {"builder": _object({"id": _TEXT}), "metadata": _object({"invocationId": _TEXT})},
        ),
    },
    "apply": {
        "merge_request": _COUNT,
        "pipeline": _COUNT,
        "job": _COUNT,
        "deployment": _or_null(_COUNT),
        "commit": _COMMIT,
        "manifest": _DIGEST,
        "plan": _DIGEST,
        "result": _one_of("applied", "unknown", "refused"),
        "replan_empty": _FLAG,
    },
    "unlock": {
        "stack": _TEXT,
        "lock": _TEXT,
        "holder": _TEXT,
        "created": _TEXT,
        "expires": _or_null(_TEXT),
        "by": _TEXT,
        "reason": _TEXT,
        "forced": _FLAG,
    },
    "recovery": {
        "merge_request": _COUNT,
        "stack": _TEXT,
        "job": _COUNT,
        "phase": _TEXT,
        "done": _list(_TEXT),
        "partial": _list(_TEXT),
        "undone": _list(_TEXT),
        "serial_before": _COUNT,
        "serial_now": _COUNT,
        "state_restored": _FLAG,
        "by": _TEXT,
    },
    "proof": {
        "merge_request": _COUNT,
        "stack": _TEXT,
        "job": _COUNT,
        "commit": _COMMIT,
        "manifest": _DIGEST,
        "plan": _DIGEST,
        "new_pipeline": _COUNT,
        "new_manifest": _DIGEST,
        "new_plan": _DIGEST,
        "serial_before": _COUNT,
        "serial_now": _COUNT,
    },
    "rollback": {
        "merge_request": _COUNT,
        "environment": _TEXT,
        "pipeline": _COUNT,
        "from_commit": _COMMIT,
        "commit": _COMMIT,
        "by": _TEXT,
        "reason": _TEXT,
    },
    "return": {
        "merge_request": _COUNT,
        "environment": _TEXT,
        "pipeline": _COUNT,
        "job": _COUNT,
        "commit": _COMMIT,
        "manifest": _or_null(_DIGEST),
        "releases": _list(_TEXT),
        "result": _one_of("returned", "applied", "refused", "unknown"),
    },
    "restore": {"stack": _TEXT, "from_serial": _COUNT, "serial": _COUNT, "by": _TEXT, "reason": _TEXT},
    "deploy": {
        "merge_request": _COUNT,
        "environment": _TEXT,
        "url": _or_null(_TEXT),
        "commit": _COMMIT,
        "release": _or_null(_TEXT),
        "verified": _FLAG,
        "deployment": _or_null(_COUNT),
    },
}

# Fields that a statement has only where they say something.
_WINDOW = _object({"name": _TEXT, "used_percent": _COUNT, "resets_at": _or_null(_TEXT)})
_OPTIONAL: Mapping[str, Mapping[str, Form]] = {
    "verdict": {"observed": _list(_TEXT)},
    "attempt": {"windows": _list(_WINDOW)},
}
_PREDICATES: Mapping[str, Form] = {
    kind: _object({**_COMMON, **fields}, _OPTIONAL.get(kind, {})) for kind, fields in _FIELDS.items()
}

# The subjects must include the digests in these fields.
_BOUND: Mapping[str, tuple[str, ...]] = {
    "claim": (),
    "attempt": ("head",),
    "handover": ("head",),
    "proposal": ("head",),
    "verdict": ("head",),
    "approval": ("head", "plan"),
    "merge": ("merge_commit",),
    "plan": ("commit", "manifest", "plan", "plan_file"),
    "unchanged": ("commit",),
    "build": ("archive",),
    "apply": ("commit", "manifest", "plan"),
    "unlock": (),
    "recovery": (),
    "proof": ("commit", "manifest", "plan", "new_manifest", "new_plan"),
    "rollback": ("commit",),
    "return": ("commit", "manifest"),
    "restore": (),
    "deploy": ("commit",),
}


def fields(kind: str) -> tuple[str, ...]:
    """Return the names of the fields that a predicate of ``kind`` has beside those of every predicate."""
    return tuple(_FIELDS[kind])


def schema(kind: str) -> Mapping[str, object]:
    """Return the JSON Schema of the predicates of ``kind``."""
    return _PREDICATES[kind].schema


def bound(kind: str) -> list[str]:
    """Return the fields whose digests the subjects of ``kind`` must name."""
    return list(_BOUND[kind])


def check(kind: str, predicate: Any, subjects: Mapping[str, str]) -> None:
    """Check a predicate of ``kind`` against ``subjects`` (name to ``sha256:`` or ``gitCommit:`` digest).

    Raises ``InvalidInput`` for the first field or subject that is missing, unknown or malformed.
    """
    _PREDICATES[kind].check(kind, predicate)
    digests = set(subjects.values())
    for field in _BOUND[kind]:
        value = predicate[field]
        bound = f"gitCommit:{value}" if is_commit(value) else value
        if value is not None and bound not in digests:
            raise InvalidInput(f"the subjects of this {kind} must name its {field}, {bound}")
    for name in _named_subjects(kind, predicate):
        if not is_digest(subjects.get(name)):
            raise InvalidInput(f"the subjects of this {kind} must name {name!r} with a sha256 digest")
    if kind == "verdict" and not any(is_digest(digest) for digest in digests):
        raise InvalidInput("the subjects of this verdict must name the verdict file with a sha256 digest")


def _named_subjects(kind: str, predicate: Mapping[str, Any]) -> Iterator[str]:
    if kind == "claim":
        yield f"issue/{predicate['issue']}"
    elif kind == "attempt":
        yield from ("brief", "transcript")
