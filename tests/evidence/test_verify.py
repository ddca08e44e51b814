import dataclasses
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from factory.evidence import statement, transparency_log, verify
from factory.evidence.kinds import DESCRIPTIONS
from factory.evidence.trust import TrustedKey
from tests.evidence import examples
from tests.evidence.examples import (
    STEPS,
    commit,
    digest,
    make,
    recorded,
    signer,
    statements,
    subjects,
    trust,
)


def report(tree: dict[str, bytes], *, mr: int | None = 12, **trusted: Any) -> verify.VerifyReport:
    return examples.report(tree, trust(**trusted), merge_request=mr)


def rules(result: verify.VerifyReport) -> set[str]:
    return {check.rule for check in result.findings}


def test_a_whole_chain_passes_and_is_complete() -> None:
    result = report(recorded(statements()))
    assert result.findings == ()
    assert result.passed
    assert result.complete
    assert result.notices == ()
    assert result.size == len(STEPS)
    held = {check.rule for check in result.checks}
    assert {"EV-ENVELOPE", "EV-SIG", "EV-STATEMENT", "EV-LOG-ENTRY", "EV-LOG-TILE", "EV-LOG-SIG", "EV-LOG-ROOT"} <= held
    assert {f"EV-CHAIN-{kind}" for kind in ("CLAIM", "ATTEMPT", "VERDICT", "MERGE", "PLAN", "APPLY", "DEPLOY")} <= held
    assert {"EV-APPROVAL-MERGE", "EV-APPROVAL-DEPLOY"} <= held


@pytest.mark.parametrize("steps", range(1, len(STEPS)))
def test_a_chain_in_progress_is_incomplete_but_not_wrong(steps: int) -> None:
    result = report(recorded(statements()[:steps]))
    assert result.findings == ()
    assert not result.complete
    assert result.missing
    assert all(what.startswith("!12: ") for what in result.missing)


def test_a_merge_request_that_nothing_names_is_incomplete() -> None:
    result = report(recorded(statements()), mr=99)
    assert result.passed
    assert not result.complete


def test_an_empty_tree_does_not_pass() -> None:
    assert rules(report({})) == {"EV-LOG-SIG"}


@pytest.mark.parametrize("step", ["claim", "attempt", "verdict", "merge approval", "merge", "plan", "apply"])
def test_a_link_left_out_is_a_finding_once_later_ones_exist(step: str) -> None:
    assert not report(recorded(statements({step: None}))).passed


@pytest.mark.parametrize(
    ("step", "changes", "rule"),
    [
        ("attempt", {"session": "s-other"}, "EV-CHAIN-ATTEMPT"),
        ("claim", {"issue": 8}, "EV-CHAIN-CLAIM"),
        ("verdict", {"result": "failed"}, "EV-CHAIN-VERDICT"),
        ("verdict", {"head": commit("elsewhere")}, "EV-CHAIN-VERDICT"),
        ("merge approval", {"head": commit("elsewhere")}, "EV-APPROVAL-HEAD"),
        ("merge approval", {"policy": digest("laxer policy")}, "EV-APPROVAL-POLICY"),
        ("merge approval", {"policy": None}, "EV-APPROVAL-POLICY"),
        ("merge approval", {"plan": digest("another plan")}, "EV-APPROVAL-PLAN"),
        ("merge approval", {"plan": None}, "EV-APPROVAL-PLAN"),
        ("merge approval", {"approver": "factory-agent"}, "EV-APPROVAL-SELF"),
        ("merge approval", {"approver": "Factory-Agent"}, "EV-APPROVAL-SELF"),
        ("merge approval", {"approval_type": "simulated"}, "EV-APPROVAL-SIMULATED"),
        ("merge approval", {"merge_request": 13}, "EV-APPROVAL-MERGE"),
        ("merge approval", {"scope": "deploy"}, "EV-APPROVAL-MERGE"),
        ("merge", {"head": commit("elsewhere")}, "EV-CHAIN-VERDICT"),
        ("merge", {"merged_by": "factory-agent"}, "EV-CHAIN-MERGE"),
        ("merge", {"issue": 8}, "EV-CHAIN-ISSUE"),
        ("merge plan", None, "EV-APPROVAL-PLAN"),
        ("plan", {"commit": commit("elsewhere")}, "EV-CHAIN-PLAN"),
        ("plan", {"manifest": digest("another manifest")}, "EV-CHAIN-APPLY"),
        ("deploy approval", {"plan": digest("another plan")}, "EV-APPROVAL-PLAN"),
        ("deploy approval", {"head": commit("elsewhere")}, "EV-APPROVAL-HEAD"),
        ("deploy approval", {"approver": "factory-agent"}, "EV-APPROVAL-SELF"),
        ("deploy approval", {"approval_type": "simulated"}, "EV-APPROVAL-SIMULATED"),
        ("deploy approval", None, "EV-APPROVAL-DEPLOY"),
        ("apply", {"manifest": digest("another manifest")}, "EV-CHAIN-APPLY"),
        ("apply", {"plan": digest("another plan")}, "EV-CHAIN-APPLY"),
        ("apply", {"commit": commit("elsewhere")}, "EV-CHAIN-APPLY"),
        ("apply", {"result": "unknown"}, "EV-CHAIN-APPLY"),
        ("apply", {"result": "refused"}, "EV-CHAIN-APPLY"),
        ("apply", {"replan_empty": False}, "EV-CHAIN-APPLY"),
        ("deploy", {"commit": commit("elsewhere")}, "EV-CHAIN-DEPLOY"),
        ("deploy", {"verified": False}, "EV-CHAIN-DEPLOY"),
    ],
)
def test_a_link_that_names_something_else_is_a_finding(step: str, changes: dict[str, Any] | None, rule: str) -> None:
    assert rule in rules(report(recorded(statements({step: changes}))))


def test_a_persons_own_change_needs_no_claim_and_no_attempt_and_says_so() -> None:
    result = report(recorded(examples.own_statements()))
    assert (result.findings, result.complete) == ((), True)
    [said] = [check.reason for check in result.checks if check.rule == "EV-CHAIN-CLAIM"]
    assert said == "operator's own change, without claim and attempt"
    assert result.notices == (
        "own approval: statement 3 by 'operator' to merge !12, their own change; no second person approved",
        "own approval: statement 6 by 'operator' to deploy !12, their own change; no second person approved",
    )
    approved = {
        step: {"approver": "second", "approval_type": "human"} for step in ("merge approval", "deploy approval")
    }
    result = report(recorded(examples.own_statements(approved)))
    assert (result.findings, result.notices) == ((), ())


@pytest.mark.parametrize("steps", range(1, len(examples.OWN)))
def test_the_chain_of_an_own_change_in_progress_is_not_wrong(steps: int) -> None:
    result = report(recorded(examples.own_statements()[:steps]))
    assert (result.findings, result.complete) == ((), False)


@pytest.mark.parametrize(
    ("step", "changes", "rule"),
    [
        ("proposal", None, "EV-CHAIN-CLAIM"),
        ("proposal", {"head": commit("elsewhere")}, "EV-CHAIN-CLAIM"),
        ("proposal", {"author": "factory-agent"}, "EV-CHAIN-CLAIM"),
        ("proposal", {"pushers": ["operator", "Factory-Agent"]}, "EV-CHAIN-CLAIM"),
        ("proposal", {"pushers": []}, "EV-CHAIN-CLAIM"),
        ("proposal", {"merge_request": 13}, "EV-CHAIN-CLAIM"),
        ("proposal", {"author": "second"}, "EV-APPROVAL-SELF"),
        ("verdict", {"result": "failed"}, "EV-CHAIN-VERDICT"),
        ("verdict", None, "EV-CHAIN-VERDICT"),
        ("merge approval", {"approval_type": "human"}, "EV-APPROVAL-SELF"),
        ("merge approval", {"approver": "second"}, "EV-APPROVAL-SELF"),
        ("merge approval", {"approver": "factory-agent"}, "EV-APPROVAL-SELF"),
        ("merge approval", None, "EV-APPROVAL-MERGE"),
        ("deploy approval", {"approval_type": "human"}, "EV-APPROVAL-SELF"),
    ],
)
def test_what_is_wrong_with_an_own_change_is_a_finding(step: str, changes: dict[str, Any] | None, rule: str) -> None:
    assert rule in rules(report(recorded(examples.own_statements({step: changes}))))


def test_a_merge_that_changes_no_stack_ends_with_that_statement() -> None:
    steps = ("claim", "attempt", "verdict", "merge plan", "merge approval", "merge", "unchanged")
    result = report(recorded(make(step) for step in steps))
    assert (result.findings, result.complete) == ((), True)
    assert "EV-CHAIN-PLAN" in {check.rule for check in result.checks}
    for wrong in (steps[:-2] + steps[-1:], steps[:-1], (*steps, "apply"), (*steps, "deploy"), (*steps, "plan")):
        found = report(recorded(make(step) for step in wrong))
        assert not (found.passed and found.complete), wrong
    other = report(recorded([*(make(step) for step in steps[:-1]), make("unchanged", {"commit": commit("elsewhere")})]))
    assert not other.complete


def test_a_proposal_recorded_after_the_merge_does_not_count() -> None:
    values = examples.own_statements()
    late = [*values[1:5], values[0], *values[5:]]
    assert "EV-CHAIN-CLAIM" in rules(report(recorded(late)))


def test_a_claimed_issue_needs_its_attempt_although_a_person_proposed_the_head() -> None:
    values = [make("claim"), make("proposal"), *statements()[2:]]
    assert rules(report(recorded(values))) == {"EV-CHAIN-ATTEMPT"}
    own = statements({step: {"approval_type": "own"} for step in ("merge approval", "deploy approval")})
    assert rules(report(recorded(own))) == {"EV-APPROVAL-SELF"}


def test_a_finding_names_both_digests() -> None:
    other = digest("another plan")
    result = report(recorded(statements({"deploy approval": {"plan": other}})))
    [reason] = [check.reason for check in result.findings if check.rule == "EV-APPROVAL-PLAN"]
    assert other in reason
    assert digest("final 12 plan") in reason


@pytest.mark.parametrize(
    ("step", "after"), [("merge approval", "merge"), ("deploy approval", "apply"), ("apply", "deploy")]
)
def test_a_link_recorded_too_late_is_a_finding(step: str, after: str) -> None:
    order = [name for name in STEPS if name != step]
    order.insert(order.index(after) + 1, step)
    assert rules(report(recorded(make(name) for name in order))) == {"EV-CHAIN-ORDER"}


def test_a_verdict_recorded_after_the_merge_does_not_count() -> None:
    order = [name for name in STEPS if name != "verdict"]
    order.append("verdict")
    assert "EV-CHAIN-VERDICT" in rules(report(recorded(make(name) for name in order)))


def test_a_failed_verdict_after_a_passed_one_decides() -> None:
    values = statements()
    values.insert(3, make("verdict", {"result": "failed"}, key="verdict/again"))
    assert rules(report(recorded(values))) == {"EV-CHAIN-VERDICT"}


def test_a_failed_verdict_of_the_merged_head_is_named() -> None:
    result = report(recorded(statements({"verdict": {"result": "failed"}})))
    [index] = [check.statement for check in result.findings if check.rule == "EV-CHAIN-VERDICT"]
    assert index == STEPS.index("verdict")


def test_what_is_missing_after_the_merge_is_listed() -> None:
    [plan, approval, apply, deploy] = report(recorded(statements()[:6])).missing
    assert f"a plan for the merge commit {commit('merge 12')}" in plan
    assert "an approval to deploy" in approval
    assert "the apply" in apply
    assert "a verified deploy" in deploy


def test_a_refused_apply_changed_nothing_and_needs_no_approval() -> None:
    result = report(recorded(statements({"deploy approval": None, "apply": {"result": "refused"}, "deploy": None})))
    assert result.passed
    assert not result.complete


def test_an_apply_of_the_plan_made_before_the_merge_is_a_finding() -> None:
    early = {name: digest(f"speculative 12 {name}") for name in ("manifest", "plan")}
    head = commit("head 12")
    changes = {"deploy approval": {"plan": early["plan"], "head": head}, "apply": {"commit": head, **early}}
    assert "EV-CHAIN-APPLY" in rules(report(recorded(statements(changes))))


def test_an_approval_of_an_earlier_head_does_no_harm_beside_one_of_the_merged_head() -> None:
    values = statements()
    values.insert(4, make("merge approval", {"head": commit("earlier")}, key="approval/early"))
    assert report(recorded(values)).passed


def test_an_approval_of_an_earlier_head_does_not_count_while_in_progress() -> None:
    result = report(recorded(statements({"merge approval": {"head": commit("earlier")}})[:5]))
    assert result.passed
    assert any("the recorded ones name something else" in what for what in result.missing)


def test_a_self_approval_is_a_finding_even_before_anything_relied_on_it() -> None:
    result = report(recorded(statements({"merge approval": {"approver": "factory-agent"}})[:5]))
    assert rules(result) == {"EV-APPROVAL-SELF"}


def test_simulated_approvals_are_accepted_on_demand_and_always_told() -> None:
    changes = {step: {"approver": "rehearsal", "approval_type": "simulated"} for step in STEPS if "approval" in step}
    tree = recorded(statements(changes))
    accepted = report(tree, simulated_approvals=True)
    assert accepted.passed
    assert accepted.complete
    assert len(accepted.notices) == 2
    assert all(notice.startswith("simulated approval: ") for notice in accepted.notices)
    refused = report(tree)
    assert rules(refused) == {"EV-APPROVAL-SIMULATED"}
    assert refused.notices == accepted.notices


def test_an_apply_beside_the_approved_one_is_a_finding() -> None:
    values = [
        *statements()[:-1],
        make("apply", {"manifest": digest("unseen"), "plan": digest("unseen")}, key="apply/extra"),
    ]
    assert "EV-CHAIN-APPLY" in rules(report(recorded([*values, make("deploy")])))


def test_an_unknown_apply_can_be_followed_by_an_approved_one() -> None:
    again = {"manifest": digest("again manifest"), "plan": digest("again plan")}
    values = statements({"apply": {"result": "unknown"}})[:-1]
    values.append(make("plan", {"plan_file": digest("again file"), **again}, key="plan/again"))
    values.append(make("deploy approval", {"plan": again["plan"]}, key="approval/again"))
    values.append(make("apply", again, key="apply/again"))
    result = report(recorded([*values, make("deploy")]))
    assert result.findings == ()
    assert result.complete


EMPTY = {name: digest(f"empty {name}") for name in ("manifest", "plan", "plan_file")}
PROOF: dict[str, Any] = {
    "merge_request": 12,
    "stack": "production",
    "new_pipeline": 33,
    "new_manifest": EMPTY["manifest"],
    "new_plan": EMPTY["plan"],
    "serial_before": 4,
    "serial_now": 5,
}


def proven(**changes: Any) -> list[dict[str, Any]]:
    """Return a chain whose apply was interrupted, and which a later plan proves."""
    names = ("job", "commit", "manifest", "plan")
    applied = make("apply", {"result": "unknown", "replan_empty": False})
    common = {name: applied["predicate"][name] for name in ("project", "issue", "time", *names)}
    predicate = {**common, "key": "proof/12/92", **PROOF, **changes}
    new_plan = make("plan", {"pipeline": 33, "job": 95, **EMPTY}, key="plan/new")
    made = statement.build("proof", subjects=subjects("proof", predicate), predicate=predicate)
    return [*statements()[:-2], applied, new_plan, made, make("deploy")]


def test_an_interrupted_apply_that_a_later_plan_proves_counts_as_done_and_is_told() -> None:
    result = report(recorded(proven()))
    assert result.findings == ()
    assert result.complete
    assert any("counts as done by proof" in notice for notice in result.notices)
    assert any("by proof" in check.reason for check in result.checks)


@pytest.mark.parametrize(
    "changes",
    [
        {"serial_now": 4},
        {"serial_now": 3},
        {"new_plan": digest("unseen")},
        {"new_manifest": digest("unseen")},
        {"new_pipeline": 32},
        {"job": 7},
        {"manifest": digest("unseen")},
        {"plan": digest("unseen")},
        {"commit": commit("elsewhere")},
    ],
)
def test_a_proof_of_something_else_is_a_finding(changes: dict[str, Any]) -> None:
    assert rules(report(recorded(proven(**changes)))) == {"EV-CHAIN-APPLY"}


def test_a_proof_without_its_new_plan_is_a_finding() -> None:
    values = [value for value in proven() if value["predicate"]["key"] != "plan/new"]
    assert rules(report(recorded(values))) == {"EV-CHAIN-APPLY"}


def test_a_proof_before_its_apply_is_a_finding() -> None:
    *before, applied, new_plan, made, deploy = proven()
    assert rules(report(recorded([*before, new_plan, made, applied, deploy]))) == {"EV-CHAIN-APPLY"}


def test_each_stack_needs_its_own_approval_and_apply() -> None:
    other = {name: digest(f"dns {name}") for name in ("manifest", "plan", "plan_file")}
    values = [*statements()[:-1], make("plan", {"stack": "dns", **other}, key="plan/dns")]
    for more in ([], [make("deploy")]):
        waiting = report(recorded([*values, *more]))
        assert waiting.passed
        assert not waiting.complete
    values.append(make("deploy approval", {"plan": other["plan"]}, key="approval/dns"))
    values.append(make("apply", {"manifest": other["manifest"], "plan": other["plan"]}, key="apply/dns"))
    values.append(make("deploy", {"environment": "dns"}, key="deploy/dns"))
    whole = report(recorded([*values, make("deploy")]))
    assert whole.findings == ()
    assert whole.complete


def staged() -> list[dict[str, Any]]:
    """Return a chain that goes through staging, which needs no approval, before production."""
    free = {name: digest(f"staging {name}") for name in ("manifest", "plan", "plan_file")}
    values = statements()
    at = STEPS.index("deploy approval")
    return [
        *values[:at],
        make("plan", {"stack": "staging", "approvals": 0, **free}, key="plan/staging"),
        make("apply", {"manifest": free["manifest"], "plan": free["plan"]}, key="apply/staging"),
        make("deploy", {"environment": "staging"}, key="deploy/staging"),
        *values[at:],
    ]


def test_a_stack_that_needs_no_approval_is_deployed_before_the_others() -> None:
    values = staged()
    whole = report(recorded(values))
    assert whole.findings == ()
    assert whole.complete
    [free] = [check for check in whole.checks if "requires no approval" in check.reason]
    assert free.passed
    for length in range(STEPS.index("deploy approval"), len(values)):
        waiting = report(recorded(values[:length]))
        assert waiting.findings == ()
        assert not waiting.complete


@pytest.mark.parametrize("left_out", ["apply/staging", "deploy/staging"])
def test_what_reaches_production_has_been_through_staging(left_out: str) -> None:
    values = [value for value in staged() if value["predicate"]["key"] != left_out]
    assert rules(report(recorded(values))) & {"EV-CHAIN-APPLY", "EV-CHAIN-DEPLOY"}


def test_a_plan_that_needs_an_approval_is_not_applied_without_one() -> None:
    values = [value for value in staged() if value["predicate"].get("scope") != "deploy"]
    assert "EV-APPROVAL-DEPLOY" in rules(report(recorded(values)))


def test_a_deploy_to_an_environment_without_a_plan_is_a_finding() -> None:
    values = [*statements(), make("deploy", {"environment": "elsewhere"}, key="deploy/elsewhere")]
    assert rules(report(recorded(values))) == {"EV-CHAIN-DEPLOY"}


def test_a_plan_of_the_default_branch_counts_by_its_commit() -> None:
    assert report(recorded(statements({"plan": {"merge_request": None}}))).complete


def test_a_fast_forward_merge_is_its_own_head() -> None:
    head = commit("head 12")
    fast = {"merge": {"merge_commit": head}, "plan": {"commit": head}, "deploy approval": {"head": head}}
    last = {"apply": {"commit": head}, "deploy": {"commit": head}, "merge plan": None, "merge approval": {"plan": None}}
    result = report(recorded(statements({**fast, **last})))
    assert result.findings == ()
    assert result.complete


def test_a_person_who_commits_on_top_is_told() -> None:
    result = report(recorded(statements({"attempt": {"head": commit("before")}})))
    assert result.passed
    assert "no recorded attempt produced the merged head" in result.notices[0]


def test_two_merges_of_one_merge_request_are_a_finding() -> None:
    values = [*statements(), make("merge", key="merge/again")]
    assert "EV-CHAIN-MERGE" in rules(report(recorded(values)))


def test_without_a_number_every_chain_is_followed() -> None:
    second = [make(step, issue=8, mr=13) for step in STEPS]
    assert report(recorded([*statements(), *second]), mr=None).complete
    half = report(recorded([*statements(), *second[:4]]), mr=None)
    assert half.passed
    assert {what.split(":")[0] for what in half.missing} == {"!13"}


def test_a_longer_log_continues_the_previous_checkpoint() -> None:
    old = recorded(statements()[:4])
    new = transparency_log.updated(old, transparency_log.append(old, statements()[4:], signer=signer(), trust=trust()))
    assert report(new, previous_checkpoint=old["checkpoint"]).passed
    assert rules(report(old, previous_checkpoint=new["checkpoint"])) == {"EV-LOG-CONSISTENCY"}
    other = recorded(statements({"claim": {"author": "somebody"}}))
    assert rules(report(other, previous_checkpoint=old["checkpoint"])) == {"EV-LOG-CONSISTENCY"}
    assert rules(report(new, previous_checkpoint=b"no note")) == {"EV-LOG-CONSISTENCY"}


def test_another_log_key_or_origin_is_a_finding() -> None:
    tree = recorded(statements())
    assert rules(report(tree, origin="factory.example/other")) == {"EV-LOG-SIG"}
    me, other = signer(), signer("stranger")
    apart = {me.keyid: TrustedKey(me.public, kinds=tuple(DESCRIPTIONS)), other.keyid: TrustedKey(other.public)}
    assert rules(report(tree, keys=apart)) == {"EV-LOG-SIG"}


_PATHS = st.sampled_from([*recorded(statements()), "statements/00000001-claim-000000000000.json", "README"])


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(_PATHS, st.binary(max_size=60) | st.just(b"[" * 100_000) | st.just(b'{"payload":NaN}')))
def test_no_tree_makes_it_raise_and_no_made_up_tree_passes(files: dict[str, bytes]) -> None:
    assert not report(files).passed
    assert not report({**recorded(statements()), **files}).passed or not files


def test_two_accounts_let_the_factory_merge_and_say_what_is_not_held() -> None:
    tree = recorded(statements({"merge": {"merged_by": "factory-agent"}}))
    assert rules(report(tree)) == {"EV-CHAIN-MERGE"}
    shared = report(tree, separation="two accounts")
    assert shared.passed
    assert shared.complete
    assert [notice.split(": ")[:2] for notice in shared.notices] == [["separation", "two accounts"]]


def test_with_two_accounts_nobody_approves_their_own_work() -> None:
    tree = recorded(statements({"merge approval": {"approver": "factory-agent"}}))
    assert "EV-APPROVAL-SELF" in rules(report(tree, separation="two accounts"))
    assert not report(recorded(statements({"deploy approval": None})), separation="two accounts").passed


def test_with_one_account_approvals_are_reported_as_not_held() -> None:
    alone = report(recorded(statements({"merge approval": None, "deploy approval": None})), separation="none")
    assert alone.passed
    assert alone.complete
    assert [notice.split(": ")[:2] for notice in alone.notices] == [["separation", "none"]]
    assert "not checked" in alone.notices[0]


def test_the_report_has_the_fields_that_json_shows() -> None:
    found = dataclasses.asdict(examples.report(examples.recorded(examples.statements())))
    assert set(found) == {"checks", "complete", "missing", "notices", "size", "root"}
