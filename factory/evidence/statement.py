"""Builds and parses in-toto Statements v1 as canonical JSON.

Specification: https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md
"""

import json
from collections.abc import Mapping
from typing import Any

from factory.errors import EvidenceInvalid, InvalidInput
from factory.evidence import predicates
from factory.system import canonical

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
# Before the name of a release: a subject of the plan that names its archive.
RELEASE = "release/"

# In the order of a chain.
_NAMES = (
    "claim",
    "attempt",
    "handover",
    "proposal",
    "verdict",
    "approval",
    "merge",
    "plan",
    "unchanged",
    "build",
    "apply",
    "deploy",
    "unlock",
    "recovery",
    "proof",
    "rollback",
    "return",
    "restore",
)
# A build is SLSA's own kind (https://slsa.dev/spec/v1.2/build-provenance); its predicate has some fields more.
_FOREIGN: Mapping[str, str] = {"build": "https://slsa.dev/provenance/v1"}
KINDS: Mapping[str, str] = {kind: _FOREIGN.get(kind, f"urn:factory:predicate:{kind}:v1") for kind in _NAMES}
# The predicate types of statements that versions before December 2026 signed.
EARLIER: Mapping[str, str] = {
    kind: f"https://factory.example/predicate/{kind}/v1" for kind in _NAMES if kind not in _FOREIGN
}

_KIND_OF: Mapping[str, str] = {name: kind for types in (KINDS, EARLIER) for kind, name in types.items()}


def build(kind: str, *, subjects: Mapping[str, str], predicate: Mapping[str, object]) -> dict[str, Any]:
    """Return a statement about ``subjects``, which map names to ``sha256:<hex>`` or ``gitCommit:<hex40>``.

    Subjects are sorted by name, so that equal facts give equal bytes. Raises ``InvalidInput`` for an unknown kind, no
    subject, a malformed digest, a float, and a missing or unknown predicate field.
    """
    # Encoding and decoding gives plain JSON that shares no objects with the caller's values.
    copy: dict[str, Any] = json.loads(encode(_form(kind, subjects, predicate)))
    return copy


def _form(kind: str, subjects: Mapping[str, str], predicate: Mapping[str, object]) -> dict[str, Any]:
    """Return the only form of a statement with these subjects and predicate, which are checked."""
    if kind not in KINDS:
        raise InvalidInput(f"unknown kind of statement {kind!r}; use one of {', '.join(KINDS)}")
    if not subjects:
        raise InvalidInput(f"a {kind} statement needs at least one subject")
    value = {
        "_type": STATEMENT_TYPE,
        "subject": [{"name": name, "digest": _digest_set(name, subjects[name])} for name in sorted(subjects, key=str)],
        "predicateType": KINDS[kind],
        "predicate": predicate,
    }
    predicates.check(kind, predicate, subjects)
    return value


def encode(value: Mapping[str, Any]) -> bytes:
    """Return the canonical bytes of a statement; raises ``InvalidInput`` if JSON cannot represent it exactly."""
    try:
        return canonical.encode(value)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidInput(f"the statement has no canonical JSON form: {error}") from error


def kind_of(value: Mapping[str, Any]) -> str:
    """Return the kind of a statement; raises ``InvalidInput`` for an unknown predicate type."""
    kind = _KIND_OF.get(str(value.get("predicateType")))
    if kind is None:
        raise InvalidInput(f"unknown predicate type {value.get('predicateType')!r}")
    return kind


def check(value: Any) -> str:
    """Return the kind of a statement; raises ``InvalidInput`` unless ``build`` could have returned it."""
    if not isinstance(value, Mapping):
        raise InvalidInput("a statement must be an object")
    kind = kind_of(value)
    form = _form(kind, subjects_of(value), value.get("predicate", {}))
    if {**form, "predicateType": value["predicateType"]} != value:
        raise InvalidInput("the statement is not of the form in-toto Statement v1 with subjects sorted by name")
    return kind


def parse(payload: bytes) -> dict[str, Any]:
    """Return the statement in canonical bytes; raises ``EvidenceInvalid`` for any other bytes."""
    try:
        value: Any = canonical.decode(payload)
        check(value)
    except (ValueError, RecursionError, InvalidInput) as error:
        raise EvidenceInvalid(f"the payload is not a statement: {error}") from error
    statement: dict[str, Any] = value
    return statement


def releases_of(value: Mapping[str, Any]) -> dict[str, str]:
    """Return the digest of each release's archive that a plan's statement names, by the release's name."""
    named = {name: digest for name, digest in subjects_of(value).items() if name.startswith(RELEASE)}
    return {name.removeprefix(RELEASE): digest for name, digest in named.items()}


def subjects_of(value: Mapping[str, Any]) -> dict[str, str]:
    """Return the subjects of a statement in the form of ``build``'s argument; raises ``InvalidInput``."""
    subjects = value.get("subject")
    if not isinstance(subjects, list) or not all(isinstance(subject, Mapping) for subject in subjects):
        raise InvalidInput("the subjects of a statement must be a list of objects")
    found: dict[str, str] = {}
    for subject in subjects:
        digests = subject.get("digest")
        if not isinstance(digests, Mapping) or len(digests) != 1:
            raise InvalidInput("a subject must have exactly one digest")
        [(algorithm, text)] = digests.items()
        found[str(subject.get("name"))] = f"{algorithm}:{text}"
    return found


def _digest_set(name: Any, digest: Any) -> dict[str, str]:
    # Spec: ResourceDescriptor.digest is a DigestSet; gitCommit is the lower-case hex of the commit id.
    if not isinstance(name, str) or not name:
        raise InvalidInput(f"a subject's name must be a non-empty string, not {name!r}")
    algorithm, _, text = digest.partition(":") if isinstance(digest, str) else ("", "", "")
    if not (predicates.is_digest(digest) or (algorithm == "gitCommit" and predicates.is_commit(text))):
        raise InvalidInput(f"the digest of {name!r} must be sha256:<64 hex> or gitCommit:<40 hex>, not {digest!r}")
    return {algorithm: text}
