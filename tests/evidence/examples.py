"""A whole chain of statements for one merge request, each of which a test can alter."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from factory.evidence import standalone, statement, transparency_log
from factory.evidence.provenance import Build, Package
from factory.evidence.schemas import schemas
from factory.evidence.sign import Signer
from factory.evidence.trust import Trust, TrustedKey
from factory.evidence.verify import VerifyReport, verify
from factory.system import canonical

_SCHEMAS = schemas()
_second: Any = standalone.verify
ORIGIN = "factory.example/shop"
STEPS = (
    "claim",
    "attempt",
    "verdict",
    "merge plan",
    "merge approval",
    "merge",
    "plan",
    "deploy approval",
    "apply",
    "deploy",
)


# A person's own change.
OWN = ("proposal", *STEPS[2:])
_APPROVED_BY_AUTHOR: dict[str, Any] = {"approval_type": "own"}


def digest(text: str) -> str:
    return canonical.digest(text.encode())


def commit(text: str) -> str:
    return digest(text).removeprefix("sha256:")[:40]


def private_pem(seed: bytes) -> bytes:
    return Ed25519PrivateKey.from_private_bytes(seed).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


@cache
def signer(name: str = "observer") -> Signer:
    """Return the signer whose key follows from its name, so that every run signs the same bytes."""
    return Signer(private_pem(hashlib.sha256(name.encode()).digest()))


def trust(**changes: Any) -> Trust:
    key = signer()
    values: dict[str, Any] = {
        "keys": {key.keyid: TrustedKey(key.public)},
        "origin": ORIGIN,
        "agent_accounts": ("factory-agent",),
    }
    return Trust(**{**values, **changes})


def predicates(issue: int = 7, mr: int = 12) -> dict[str, dict[str, Any]]:
    """Return the predicate of each step, without the fields that all have."""
    head, merged, policy = commit(f"head {mr}"), commit(f"merge {mr}"), digest("policy")
    session = f"s-{issue}"
    approval = {"merge_request": mr, "approver": "operator", "approval_type": "human", "head": head, "spec": None}
    plan = {"merge_request": mr, "stack": "production", "approvals": 1}
    return {
        "claim": {
            "session": session,
            "branch": f"factory/{issue}",
            "lease": {"branch": f"factory/leases/{issue}", "commit": commit("lease"), "token": 1},
            "author": "operator",
            "author_role": "maintainer",
        },
        "attempt": {
            "session": session,
            "attempt": 1,
            "agent": {"name": "replay", "version": "1", "model": None, "brief": digest("template")},
            "reason": "done_for_review",
            "usage": {"input_tokens": 1200, "output_tokens": 80},
            "cost": {"usd_micros": 0, "prices": None, "source": "agent"},
            "sandbox": {"level": "bwrap", "limits": {"processes": "cgroup"}},
            "outputs": [{"id": "a", "kind": "comment", "result": "admitted", "before": None, "after": digest("note")}],
            "base": commit("base"),
            "head": head,
            "checks": [{"gate": "scope", "result": "passed"}],
        },
        "proposal": {
            "merge_request": mr,
            "author": "operator",
            "pushers": ["operator"],
            "branch": "shorter-greeting",
            "head": head,
            "base": commit("base"),
            "asked": 0,
            "agents": [],
        },
        "verdict": {
            "merge_request": mr,
            "pipeline": 31,
            "judge_sha": commit("judge"),
            "head": head,
            "result": "passed",
            "gates": [{"name": "scope", "result": "passed", "findings": 0}],
            "requirements": [
                {
                    "id": "HELLO-1",
                    "digest": digest("requirement"),
                    "result": "passed",
                    "tests": ["tests.test_hello.test_a"],
                }
            ],
            "excused": 0,
            "policy": policy,
        },
        "merge plan": {**plan, **_planned(f"speculative {mr}"), "pipeline": 31, "job": 90, "commit": head},
        "merge approval": {**approval, "scope": "merge", "policy": policy, "plan": all_plans(mr)},
        "merge": {
            "merge_request": mr,
            "head": head,
            "target": "main",
            "merged_by": "factory-bot",
            "merge_commit": merged,
        },
        "plan": {**plan, **_planned(f"final {mr}"), "pipeline": 32, "job": 91, "commit": merged},
        "unchanged": {"merge_request": mr, "pipeline": 32, "job": 91, "commit": merged},
        "deploy approval": {
            **approval,
            "scope": "deploy",
            "policy": policy,
            "head": merged,
            "plan": digest(f"final {mr} plan"),
        },
        "build": {"merge_request": mr, **build(merged).predicate()},
        "apply": {
            "merge_request": mr,
            "pipeline": 32,
            "job": 92,
            "deployment": 3,
            "commit": merged,
            "manifest": digest(f"final {mr} manifest"),
            "plan": digest(f"final {mr} plan"),
            "result": "applied",
            "replan_empty": True,
        },
        "deploy": {
            "merge_request": mr,
            "environment": "production",
            "url": "https://shop.example",
            "commit": merged,
            "release": "v1",
            "verified": True,
            "deployment": 3,
        },
    }


def build(commit_id: str) -> Build:
    """Return the build of the app at a commit, with a pinned package, a range and a package of npm."""
    return Build(
        app="shop",
        archive=digest("archive"),
        commit=commit_id,
        ref="refs/heads/main",
        server="https://gitlab.example",
        source="https://gitlab.example/factory/shop",
        pipeline=32,
        job=90,
        packages=(
            Package("pypi", "flask", "==3.0.1", pinned=True),
            Package("pypi", "httpx", ">=0.27", pinned=False),
            Package("npm", "@scope/left-pad", "1.3.0", pinned=True),
        ),
    )


def all_plans(mr: int) -> str:
    """Return what an approval to merge names: the digest of the plans of all stacks."""
    return canonical.digest_of({"production": digest(f"speculative {mr} plan")})


def _planned(name: str) -> dict[str, str]:
    return {part: digest(f"{name} {part}") for part in ("manifest", "plan", "plan_file")}


def make(
    step: str, changes: Mapping[str, Any] | None = None, *, issue: int = 7, mr: int = 12, key: str = ""
) -> dict[str, Any]:
    """Return the statement of a step of the chain with some predicate fields changed."""
    kind = step.rsplit(maxsplit=1)[-1]
    predicate = {
        "key": key or f"{step}/{issue}/{mr}",
        "project": "factory/shop",
        "issue": issue,
        "time": "2026-11-20T16:00:00.000Z",
        **predicates(issue, mr)[step],
        **(changes or {}),
    }
    return statement.build(kind, subjects=subjects(kind, predicate), predicate=predicate)


def subjects(kind: str, predicate: Mapping[str, Any]) -> dict[str, str]:
    if kind == "claim":
        return {f"issue/{predicate['issue']}": digest("issue")}
    found = {"attempt": {"brief": digest("brief"), "transcript": digest("transcript")}, "verdict": {"v": digest("v")}}
    named = dict(found.get(kind, {}))
    for field in ("head", "commit", "merge_commit"):
        if predicate.get(field) is not None:
            named[field] = f"gitCommit:{predicate[field]}"
    if kind == "build":
        return {"shop.tar.gz": predicate["archive"]}
    for field in ("manifest", "plan", "plan_file", "new_manifest", "new_plan"):
        if predicate.get(field) is not None:
            named[field] = predicate[field]
    return named


def statements(changes: Mapping[str, Mapping[str, Any] | None] | None = None) -> list[dict[str, Any]]:
    """Return the chain with some steps changed, or left out (``None``)."""
    wanted = changes or {}
    return [make(step, wanted.get(step)) for step in STEPS if wanted.get(step, {}) is not None]


def own_statements(changes: Mapping[str, Mapping[str, Any] | None] | None = None) -> list[dict[str, Any]]:
    """Return the chain of a person's own change, approved by its author, with some steps changed or left out."""
    own = {"merge approval": _APPROVED_BY_AUTHOR, "deploy approval": _APPROVED_BY_AUTHOR}
    given = changes or {}
    wanted = [(step, given.get(step, {})) for step in OWN]
    return [make(step, {**own.get(step, {}), **more}, issue=0) for step, more in wanted if more is not None]


def recorded(values: Iterable[Mapping[str, Any]], *, by: str = "observer") -> dict[str, bytes]:
    own = Trust.of(signer(by).public, origin=ORIGIN, agent_account="factory-agent")
    return transparency_log.updated({}, transparency_log.append({}, list(values), signer=signer(by), trust=own))


def report(
    tree: Mapping[str, bytes],
    trusted: Trust | None = None,
    *,
    merge_request: int | None = 12,
    modes: Mapping[str, str] | None = None,
) -> VerifyReport:
    """Return what ``verify`` reports; the second verifier must come to the same result."""
    root = trusted or trust()
    found = verify(tree, trust=root, merge_request=merge_request, modes=modes)
    if modes is None:
        given = json.loads(root.write())
        faults, missing = _second(dict(tree), given, _SCHEMAS, merge_request)
        assert (not faults, not missing) == (found.passed, found.complete), (faults, missing, found)
    return found
