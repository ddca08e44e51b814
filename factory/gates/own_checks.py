"""Judges what the apps' own checks found, beside what the tools that policy names found."""

from factory.gates.tool import for_agents
from factory.model.app_paths import APPS
from factory.model.facts import EXIT_CODE, Facts
from factory.model.tool_run import SUPPRESSED, OwnCheck, ToolRun, newer
from factory.model.verdict import Finding, Verdict, judged
from factory.policies.model import Policies


def with_own(verdict: Verdict, facts: Facts, policies: Policies, *, fix: str) -> Verdict:
    """Return a gate's verdict with the new findings of the touched apps' own checks.

    If policy names no check of the gate, these alone are judged. What such a check found before the change is no new
    finding; a check that did not run, or left no report that can be read, is one.
    """
    gate = verdict.gate
    changed = _other_command(gate, facts)
    touched = [check for check in facts.checks_after if check.gate == gate and facts.touches(check.app)]
    named = gate in policies.gates.checks
    if not touched or (named and verdict.result == "skipped"):
        return for_agents(verdict, policies, facts.change, changed)
    before = {item.app: item.run for item in facts.checks_base if item.gate == gate}
    runs = {item.app: item.run for item in facts.checks_head if item.gate == gate}
    found, flags = list(verdict.findings if named else ()), list(verdict.flags)
    silenced: list[Finding] = []
    for check in touched:
        run, earlier = runs.get(check.app), before.get(check.app)
        flags.append(_reported(check, run, earlier))
        if run is None or run.problem:
            found.append(_not_run(check, run))
            continue
        for item in newer(run.problems, earlier.problems if earlier else ()):
            told = Finding(f"{gate}.{item.rule.lower()}", f"{item.rule}: {item.message}", fix, item.path, item.line)
            (silenced if item.rule == SUPPRESSED else found).append(told)
    return for_agents(judged(gate, found, flags=tuple(flags)), policies, facts.change, [*silenced, *changed])


def _not_run(check: OwnCheck, run: ToolRun | None) -> Finding:
    message = run.problem if run else f"no report says what {check.told} found"
    return Finding(f"{check.gate}.not-run", message, "Make the command run, and leave its report.", _place(check.app))


def _reported(check: OwnCheck, run: ToolRun | None, earlier: ToolRun | None) -> Finding:
    """Return what a person must know of a check whose findings the change's own job reports."""
    alone = f" {EXIT_CODE}" if ", which leaves " not in check.told else ""
    compared = "compared with those before the change" if earlier and not earlier.problem else "compared with nothing"
    if run and earlier and (old := len(run.problems) - len(newer(run.problems, earlier.problems))):
        compared += f", which had {old} of them"
    message = f"the findings of {check.app} are known by {check.told}{alone}, {compared}"
    return Finding(f"{check.gate}.reported", message, "Read what changed in the check's settings.", _place(check.app))


def _other_command(gate: str, facts: Facts) -> list[Finding]:
    """Return a finding for each app whose check runs otherwise than before."""
    before, after = (
        {item.app: item.told for item in items if item.gate == gate}
        for items in (facts.checks_before, facts.checks_after)
    )
    return [
        Finding(
            f"{gate}.command",
            f"the check of {app} ran by {before.get(app) or 'nothing'}, and now by {after.get(app) or 'nothing'}",
            "Only a person may change how checks run.",
            _place(app),
        )
        for app in sorted(before.keys() | after.keys())
        if before.get(app) != after.get(app)
    ]


def _place(app: str) -> str:
    return f"{APPS}{app}"
