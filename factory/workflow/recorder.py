"""The recorder: signs statements about what it observed and appends them to the branch ``factory/evidence``."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict

from factory.checks import dependencies
from factory.errors import EvidenceInvalid, NotFound, Refused
from factory.evidence import statement, transparency_log
from factory.evidence.provenance import Build, Package
from factory.gitlab import pipelines
from factory.host import runnable
from factory.model.gitlab import MAIN
from factory.model.verdict import GateReport
from factory.operations import saved_plan
from factory.operations.saved_plan import SavedPlan
from factory.policies.trust import PATH
from factory.system import canonical, clock
from factory.terraform.stacks import LIVE
from factory.workflow.append_branch import Addition, append
from factory.workflow.context import Context

_BUILD_JOB = "build"


def record(
    context: Context, kind: str, *, issue: int, subjects: Mapping[str, str], predicate: Mapping[str, object]
) -> None:
    """Append one statement, unless the log already has it with the same key and content.

    If another recorder pushes first, the push is refused, and the log is read again. Raises ``Conflict`` if the log has
    other content under the same key.
    """
    _append(context, [_statement(context, kind, issue, subjects, predicate)], f"{kind} {predicate['key']}")


def require_key(context: Context) -> None:
    """Raise ``Refused`` if this machine's key may not record evidence of the project."""
    try:
        _require_key(context)
    except Refused:  # main may name the key since the last fetch
        context.fetch()
        _require_key(context)


def _require_key(context: Context) -> None:
    head = context.mirror.head(transparency_log.BRANCH)
    trust, size = context.trust(), _size(context.mirror.paths(head)) if head else 0
    signer = context.recorder.signer(trust.recorders(size))
    if not trust.recorder(signer.keyid).at(size):
        raise Refused(
            f"this machine's key may not sign statement {size} of this project's evidence",
            hint="See `factory evidence keys list`.",
        )
    if head is None or trust is not context.recorder.own:
        return
    try:
        trust.open_checkpoint(context.mirror.read(head, transparency_log.CHECKPOINT))
    except EvidenceInvalid as error:
        raise Refused(
            f"this machine's key did not sign the project's evidence, and {PATH} names no other key",
            hint="Run `factory evidence keys enrol` on the machine that recorded it, then on this one.",
        ) from error


def _size(paths: Iterable[str]) -> int:
    return sum(path.startswith(transparency_log.STATEMENTS) for path in paths)


def _statement(
    context: Context, kind: str, issue: int, subjects: Mapping[str, str], predicate: Mapping[str, object]
) -> Mapping[str, object]:
    common = {"project": context.bot.project_path, "issue": issue, "time": clock.timestamp()}
    return statement.build(kind, subjects=subjects, predicate={**common, **predicate})


def _append(context: Context, statements: Sequence[Mapping[str, object]], title: str) -> None:
    """Append statements with one push."""

    def fresh() -> Addition[None]:
        trust, tree = context.trust(), read_tree(context)
        signer = context.recorder.signer(trust.recorders(_size(tree)))
        return Addition(None, transparency_log.append(tree, statements, signer=signer, trust=trust), title)

    append(context, transparency_log.BRANCH, fresh)


def record_plans(context: Context, iid: int, *, issue: int, pipeline: int) -> SavedPlan:
    """Record and return the plans that a pipeline of a merge request or of main saved, and the builds in them.

    Raises ``NotFound`` without plans, and ``EvidenceInvalid`` if the digests of the archives are not those of a plan.
    """
    saved = saved_plan.of(context.bot, pipeline)
    if saved.job == saved_plan.NO_JOB and any(
        path.startswith(f"{LIVE}/") for path in context.mirror.paths(context.main())
    ):
        raise NotFound(
            f"pipeline {pipeline} has no job {saved_plan.PLAN_JOB}, and main has Terraform to plan",
            hint="Put the job back into the pipeline definition on main, then plan with `factory pipeline run`.",
        )
    environments = context.policies().environments
    archives = saved_plan.archives(context.bot, saved)
    statements = []
    for stack, manifest in saved.manifests.items():
        digest = saved.digest(stack)
        subjects = {
            "commit": f"gitCommit:{manifest.commit}",
            "manifest": digest,
            "plan": manifest.plan,
            "plan file": manifest.plan_file,
            **runnable.subjects(manifest.commit, archives.get(stack, {}).items()),
        }
        predicate = {
            "key": f"plan/{iid}/{pipeline}/{stack}",
            "merge_request": iid,
            "pipeline": pipeline,
            "job": saved.job,
            "commit": manifest.commit,
            "stack": stack,
            "manifest": digest,
            "plan": manifest.plan,
            "plan_file": manifest.plan_file,
            "approvals": environments.asked(stack),
        }
        statements.append(_statement(context, "plan", issue, subjects, predicate))
    built = {app: digest for each in archives.values() for app, digest in each.items()}
    statements += [
        _statement(context, "build", issue, item.subjects(), {"key": key, "merge_request": iid, **item.predicate()})
        for item in _builds(context, saved, built, pipeline)
        for key in (f"build/{iid}/{pipeline}/{item.app}",)
    ]
    if statements:
        _append(context, statements, f"plan {iid}/{pipeline}")
    return saved


def _builds(context: Context, saved: SavedPlan, archives: Mapping[str, str], pipeline: int) -> list[Build]:
    """Return the builds of the archives (app to digest) that the plans name."""
    if not archives:
        return []
    jobs = {job.name: job.id for job in pipelines.jobs(context.bot, pipeline)}
    [commit] = {manifest.commit for manifest in saved.manifests.values()}
    packages = dependencies.read_apps(context.mirror.tree(commit, "apps/"))
    return [
        Build(
            app=app,
            archive=archive,
            commit=commit,
            ref=f"refs/heads/{MAIN}",
            server=context.bot.url,
            source=f"{context.bot.url}/{context.bot.project_path}",
            pipeline=pipeline,
            job=jobs.get(_BUILD_JOB, saved.job),
            packages=tuple(
                Package("npm" if item.path.endswith("package.json") else "pypi", item.name, item.version, item.pinned)
                for item in packages.get(app, ())
            ),
        )
        for app, archive in sorted(archives.items())
    ]


def record_verdict(
    context: Context, *, issue: int, merge_request: int, head: str, pipeline: int, decision: GateReport
) -> None:
    """Record what the gates decided in a merge request's pipeline, and which tests prove which requirement."""
    record(
        context,
        "verdict",
        issue=issue,
        subjects={"commit": f"gitCommit:{head}", "verdict": canonical.digest_of(asdict(decision))},
        predicate={
            "key": f"verdict/{merge_request}/{pipeline}",
            "merge_request": merge_request,
            "pipeline": pipeline,
            "judge_sha": decision.judge_sha,
            "head": decision.head,
            "result": decision.result,
            "gates": [
                {"name": item.gate, "result": item.result, "findings": len(item.findings)} for item in decision.gates
            ],
            "requirements": [
                {**asdict(item), "tests": [test.name for test in item.tests]} for item in decision.requirements
            ],
            "excused": decision.excused,
            "policy": decision.policy,
            **({} if decision.observed is None else {"observed": list(decision.would_block)}),
        },
    )


def read_tree(context: Context) -> dict[str, bytes]:
    """Return the files of the evidence branch as of the last fetch."""
    head = context.mirror.head(transparency_log.BRANCH)
    return context.mirror.tree(head) if head else {}
