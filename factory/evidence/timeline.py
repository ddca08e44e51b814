"""What happened to an issue, a merge request or a release, in the order of the log. Pure: reads statements as they are.

It verifies nothing; ``verify`` does.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from factory.evidence.transparency_log import Entry

# These statements name an issue, but no merge request.
_BEFORE_A_MERGE_REQUEST = frozenset({"claim", "attempt", "handover"})
_MICROS = 1_000_000


@dataclass(frozen=True)
class Event:
    """One statement: its index in the log, when it was recorded, its kind, and what it says in one line."""

    index: int
    time: str
    kind: str
    said: str


def of_issue(entries: Sequence[Entry], issue: int) -> tuple[Event, ...]:
    """Return what happened to an issue."""
    return tuple(_event(entry) for entry in entries if entry.predicate["issue"] == issue)


def of_merge_request(entries: Sequence[Entry], merge_request: int) -> tuple[Event, ...]:
    """Return what happened to a merge request, from the claim of its issue on."""
    about = {entry.predicate["issue"] for entry in entries if entry.predicate.get("merge_request") == merge_request}
    return tuple(
        _event(entry)
        for entry in entries
        if entry.predicate.get("merge_request") == merge_request
        or (entry.kind in _BEFORE_A_MERGE_REQUEST and entry.predicate["issue"] in about)
    )


def of_release(entries: Sequence[Entry], release: str) -> tuple[Event, ...]:
    """Return what happened to the merge request that a release deployed; nothing if no deployment names the release."""
    deployed = [entry for entry in entries if entry.kind == "deploy" and entry.predicate["release"] == release]
    return of_merge_request(entries, deployed[-1].predicate["merge_request"]) if deployed else ()


def said(entry: Entry) -> str:
    """Return what a statement says, in one line."""
    words = WORDS[entry.kind]
    return words.format_map({**entry.predicate, **_derived(entry)})


def _derived(entry: Entry) -> Mapping[str, str]:
    """Return the words of a sentence that are no field of the predicate."""
    value = entry.predicate
    if entry.kind == "deploy":
        return {"how": "verified" if value["verified"] else "not verified"}
    if entry.kind == "verdict":
        failed = value.get("observed")
        more = f"; enforced, these would block it: {', '.join(failed)}" if failed else ""
        return {"observed": more if failed is None or failed else "; gates are observed, all passed"}
    if entry.kind == "proposal":
        made = f"made with {', '.join(value['agents'])}" if value["agents"] else "made by hand"
        return {"how": f"{made}, for #{value['asked']}" if value["asked"] else made}
    if entry.kind == "build":
        return {"app": value["buildDefinition"]["externalParameters"]["app"]}
    if entry.kind != "attempt":
        return {}
    agent = value["agent"]
    return {
        "who": f"{agent['name']} {agent['version']}" + (f" with {agent['model']}" if agent["model"] else ""),
        "made": f"commit {value['head'][:12]}" if value["head"] else "no commit",
        "usd": _money(
            value["cost"]["usd_micros"],
            # Statements of older versions have neither field.
            priced=value["cost"].get("priced", True),
            billed=value["cost"].get("billed", True),
        ),
    }


def _money(usd_micros: int, *, priced: bool, billed: bool) -> str:
    if not priced:
        return "price unknown"
    return f"{usd_micros / _MICROS:.4f} USD" + ("" if billed else " by the list, not billed: a plan")


def _event(entry: Entry) -> Event:
    return Event(entry.index, str(entry.predicate["time"]), entry.kind, said(entry))


WORDS: Mapping[str, str] = {
    "claim": "issue #{issue} of {author} is claimed by session {session}",
    "attempt": "attempt {attempt} of session {session} by {who}: {reason}, {made}, {usd}",
    "handover": "{by} changed {files} files in session {session}: commit {head:.12}",
    "proposal": "{author} proposed {head:.12} of {branch}, {how}",
    "verdict": "pipeline {pipeline} {result} at {head:.12}, judged by {judge_sha:.12}{observed}",
    "approval": "{scope} approved by {approver} ({approval_type}) at {head:.12}",
    "merge": "!{merge_request} merged into {target} by {merged_by} as {merge_commit:.12}",
    "plan": "{stack} planned at {commit:.12} in pipeline {pipeline}",
    "unchanged": "pipeline {pipeline} of {commit:.12} changes no stack: nothing to deploy",
    "build": "{app} built from {commit:.12}: {archive:.19}",
    "apply": "plan {plan:.19} of {commit:.12}: {result}",
    "deploy": "{environment} has {commit:.12}, {how}",
    "rollback": "{environment} back from {from_commit:.12} to {commit:.12} by {by}: {reason}",
    "return": "traffic of {environment}: {result}",
    "proof": "the interrupted apply of {stack} counts as done by proof",
    "recovery": "{by} examined the interrupted apply of {stack}",
    "unlock": "{by} removed the lock of {stack}: {reason}",
    "restore": "{by} restored the state of {stack} to serial {from_serial}: {reason}",
}
