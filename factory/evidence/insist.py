"""What the evidence must show before a merge request is merged, and before its plan is applied. Pure."""

from collections.abc import Mapping

from factory.evidence import transparency_log, verify
from factory.evidence.trust import Trust

_MERGE = frozenset({"EV-CHAIN-CLAIM", "EV-CHAIN-ATTEMPT", "EV-CHAIN-VERDICT", "EV-APPROVAL-MERGE"})
_APPLY = _MERGE | {"EV-CHAIN-MERGE", "EV-CHAIN-PLAN", "EV-APPROVAL-DEPLOY"}
# An apply that failed, was interrupted or whose deployment was returned may be followed by another one.
_MAY_BE_REPEATED = frozenset({"EV-CHAIN-APPLY", "EV-CHAIN-DEPLOY"})


def unmet_before_merge(tree: Mapping[str, bytes], trust: Trust, merge_request: int) -> tuple[str, ...]:
    """Return what the whole log and this chain lack or break, from the claim to the approval; empty: it may merge."""
    return _unmet(tree, trust, merge_request, _MERGE)


def unmet_before_apply(tree: Mapping[str, bytes], trust: Trust, merge_request: int, stack: str) -> tuple[str, ...]:
    """Return what the whole log and this chain lack or break, from the claim to the approval of the stack's plan."""
    found = _unmet(tree, trust, merge_request, _APPLY)
    plans = [
        entry
        for entry in transparency_log.read(tree)
        if entry.kind == "plan" and entry.predicate["merge_request"] == merge_request
    ]
    known = any(entry.predicate["stack"] == stack for entry in plans)
    return found if known or found else (f"a plan of {stack}",)


def _unmet(tree: Mapping[str, bytes], trust: Trust, merge_request: int, needed: frozenset[str]) -> tuple[str, ...]:
    report = verify.verify(tree, trust=trust, merge_request=merge_request)
    broken = [check.reason for check in report.findings if check.rule not in _MAY_BE_REPEATED]
    return (*broken, *(what.removeprefix(f"!{merge_request}: ") for rule, what in report.absent if rule in needed))
