"""The recorder: signs what it has observed and appends it to the log on the branch ``factory/evidence``."""

from collections.abc import Mapping, Sequence
from typing import Any

from factory.evidence import log, statement
from factory.operations import saved_plan
from factory.operations.saved_plan import SavedPlan
from factory.system import canonical, clock
from factory.workflow.append_branch import Addition, append
from factory.workflow.context import Context

BRANCH = "factory/evidence"


def record(
    context: Context, kind: str, *, issue: int, subjects: Mapping[str, str], predicate: Mapping[str, Any]
) -> None:
    """Append one statement; one whose key and content are in the log already is not appended again.

    Another recorder may append at the same time: the push is refused then, and the log is read again. Raises
    ``Conflict`` where the log holds another fact under the same key.
    """
    _append(context, [_statement(context, kind, issue, subjects, predicate)], f"{kind} {predicate['key']}")


def _statement(
    context: Context, kind: str, issue: int, subjects: Mapping[str, str], predicate: Mapping[str, Any]
) -> dict[str, Any]:
    common = {"project": context.bot.project_path, "issue": issue, "time": clock.timestamp()}
    return statement.build(kind, subjects=subjects, predicate={**common, **predicate})


def _append(context: Context, made: Sequence[dict[str, Any]], title: str) -> None:
    """Append statements with one push."""

    def fresh() -> Addition[None]:
        tree = read_tree(context)
        return Addition(None, log.append(tree, made, signer=context.signer, origin=context.trust.log_key.name), title)

    append(context, BRANCH, fresh)


def record_plans(context: Context, iid: int, *, issue: int, pipeline: int) -> SavedPlan:
    """Record the plans that a merge request's or main's pipeline saved; return them. Raises ``NotFound``."""
    saved = saved_plan.of(context.bot, pipeline)
    environments = context.policies().environments
    made = []
    for stack, manifest in saved.manifests.items():
        digest = saved.digest(stack)
        commit, plan, plan_file = str(manifest["commit"]), str(manifest["plan"]), str(manifest["plan_file"])
        subjects = {"commit": f"gitCommit:{commit}", "manifest": digest, "plan": plan, "plan file": plan_file}
        predicate = {
            "key": f"plan/{iid}/{pipeline}/{stack}",
            "merge_request": iid,
            "pipeline": pipeline,
            "job": saved.job,
            "commit": commit,
            "stack": stack,
            "manifest": digest,
            "plan": plan,
            "plan_file": plan_file,
            "approvals": environments.asked(stack),
        }
        made.append(_statement(context, "plan", issue, subjects, predicate))
    if made:
        _append(context, made, f"plan {iid}/{pipeline}")
    return saved


def record_verdict(
    context: Context, proposed: Mapping[str, Any], *, issue: int, pipeline: int, decision: Mapping[str, Any]
) -> None:
    """Record what the gates of a merge request's pipeline decided, and which tests proved which requirement."""
    record(
        context,
        "verdict",
        issue=issue,
        subjects={"commit": f"gitCommit:{proposed['head']}", "verdict": canonical.digest_of(decision)},
        predicate={
            "key": f"verdict/{proposed['merge_request']}/{pipeline}",
            "merge_request": proposed["merge_request"],
            "pipeline": pipeline,
            "judge_sha": decision["judge_sha"],
            "head": decision["head"],
            "result": decision["result"],
            "gates": [
                {"name": item["gate"], "result": item["result"], "findings": len(item["findings"])}
                for item in decision["gates"]
            ],
            "requirements": [
                {**item, "tests": [test["name"] for test in item["tests"]]} for item in decision["requirements"]
            ],
            "excused": decision["excused"],
            "policy": decision["policy"],
        },
    )


def read_tree(context: Context) -> dict[str, bytes]:
    """Return the evidence branch's files as of the last fetch."""
    head = context.mirror.head(BRANCH)
    return context.mirror.tree(head) if head else {}
