"""What the job of an apply checks itself: the evidence must allow exactly this plan, as ``factory work`` has found."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from factory.errors import EvidenceIncomplete, NotFound, Refused
from factory.evidence import preconditions, transparency_log
from factory.evidence.trust import Trust
from factory.operations import trust_root
from factory.operations.hosts import readiness, waiting
from factory.operations.infra_job import Job
from factory.system import process
from factory.terraform.manifest import Manifest
from factory.worktrees import blobs

# The CI variable with the trust root of an instance whose policies name no keys.
VARIABLE = "FACTORY_TRUST_ROOT"
# Seconds for which a job waits for hosts, and between two looks.
_HOST_SECONDS, _PAUSE = 300.0, 2.0
_REF = f"refs/remotes/origin/{transparency_log.BRANCH}"


def founding(job: Job) -> bool:
    """Return whether no merge is recorded yet: a plan of main then carries no app, since no release has evidence.

    Whoever signed the log: one of foreign statements must not look like none. Raises ``EvidenceInvalid``.
    """
    trust = _trust(job)
    return trust is not None and trust.pinned is None and not _merged(_tree(job))


def provided(job: Job, stacks: Iterable[str]) -> dict[str, str | None]:
    """Return, by stack, the commit since which main's changes are neither in it nor in a plan of it that waits.

    That is the job's base where no evidence is kept; ``None`` if the stack has nothing of main yet. Raises
    ``EvidenceInvalid``.
    """
    trust = _trust(job)
    if trust is None:
        return dict.fromkeys(stacks, job.base)
    entries, project = transparency_log.valid(_tree(job), trust), job.given.get("CI_PROJECT_PATH", "")
    return {stack: preconditions.provided(entries, project=project, stack=stack) for stack in stacks}


def require(job: Job, stack: str, manifest: Manifest, *, starter: str = "") -> str:
    """Return what the evidence says about an apply.

    Raises ``EvidenceIncomplete`` if it does not allow the apply, ``EvidenceInvalid`` if it cannot be read.
    ``starter`` is the person whose start of this job is the approval, which nobody could record before; empty where
    approvals are recorded. The founding deployment comes before every merge, so it needs no statement; it may carry no
    app.
    """
    trust = _trust(job)
    if trust is None:
        return "the evidence is not checked: policies/trust.yml names no key; see `factory evidence keys enrol`"
    tree = _tree(job)
    if trust.pinned is None and not _merged(tree):
        if manifest.archives:
            raise _refused(stack, "no merge is recorded yet, so no release may be deployed")
        return "the first deployment, of infrastructure alone: no merge is recorded yet, so nothing is checked"
    entries = transparency_log.valid(tree, trust)
    carried = [
        entry.predicate["merge_request"]
        for entry in entries
        if entry.kind == "merge" and entry.predicate["merge_commit"] == job.commit
    ]
    if not carried:
        raise _refused(stack, f"no statement records a merge of {job.commit}")
    authors = {
        str(entry.predicate["author"]).casefold()
        for entry in entries
        if entry.kind == "proposal" and entry.predicate["merge_request"] == carried[-1]
    }
    if starter.casefold() in authors and job.policies.approvals.merge.own == "deny":
        why = f"{starter} made the change, and policy says `own: deny`"
        raise _refused(stack, why, hint="Let another person start this job.")
    unmet = preconditions.unmet_before_apply(
        tree, trust, carried[-1], stack=stack, manifest=manifest.digest(), plan=manifest.plan, by_hand=bool(starter)
    )
    if unmet:
        raise _refused(stack, "; ".join(unmet[:3]))
    return f"the evidence of !{carried[-1]} allows this plan"


def require_hosts(job: Job, stack: str, manifest: Manifest, *, say: Callable[[str], None]) -> None:
    """Return once each host that the trust root names for the stack's environment is ready for a plan with apps.

    This is asked before the state is locked, so that the job can be retried. It waits some minutes: where a person's
    start of the job is the approval, a host can't run the plan's releases before that. Raises ``Refused``.
    """
    trust = _trust(job)
    keys = trust.hosts_of(stack) if trust else {}
    if trust is None or not keys or not job.carried(stack):
        return
    needs: readiness.Needed | None = None

    def look() -> tuple[str, ...]:
        nonlocal needs
        _fetch(job, transparency_log.BRANCH)
        tree = _tree(job)
        needs = needs or readiness.needed(
            transparency_log.valid(tree, trust),
            project=job.given.get("CI_PROJECT_PATH", ""),
            environment=stack,
            manifest=manifest.digest(),
        )
        if needs is None:
            return ("no statement records its plan",)
        said = {host: content for host in keys if (content := _said(job, readiness.branch(stack, host))) is not None}
        return readiness.unmet(needs, keys, said, lambda size: transparency_log.root_at(tree, size))

    if unmet := waiting.until_ready(
        look, seconds=_HOST_SECONDS, pause=_PAUSE, say=lambda why: say(f"{stack} waits: {why}")
    ):
        raise Refused(
            f"{stack} is not applied: {'; '.join(unmet)}",
            hint="Nothing was applied. Retry this job once `factory host status` says that they are ready.",
        )


def _said(job: Job, branch: str) -> bytes | None:
    ref = _fetch(job, branch)
    return waiting.said_at(Path.cwd(), ref) if ref else None


def _fetch(job: Job, branch: str) -> str:
    """Fetch a branch as GitLab has it now; return its ref, empty if there is none."""
    ref = f"refs/remotes/origin/{branch}"
    argv = ["git", "fetch", "--quiet", "origin", f"+refs/heads/{branch}:{ref}"]
    return ref if process.run(argv, env=job.tool_env, check=False).returncode == 0 else ""


def _refused(stack: str, why: str, *, hint: str = "") -> EvidenceIncomplete:
    return EvidenceIncomplete(
        f"{stack} is not applied, because the evidence does not allow it: {why}",
        hint=hint or "Nothing was applied. Fix what `factory evidence verify` names, then retry this job in GitLab.",
    )


def _merged(tree: Mapping[str, bytes]) -> bool:
    return any(entry.kind == "merge" for entry in transparency_log.read(tree))


def _trust(job: Job) -> Trust | None:
    """Return the trust root: of the instance, with the keys of the judge's policies; ``None`` if neither names keys."""
    given = job.given.get(VARIABLE, "")
    if given:
        own = Trust.read(given.encode(), source=VARIABLE)
        return trust_root.trusted(own, job.policies.trust, job.policies.scope.agents)
    try:
        return trust_root.of_policies(job.policies)
    except NotFound:
        return None


def _tree(job: Job) -> dict[str, bytes]:
    """Return the files of the evidence branch, which the job has fetched; empty if the project has none."""
    known = process.run(["git", "rev-parse", "--verify", "--quiet", _REF], env=job.tool_env, check=False)
    if known.returncode:
        return {}
    found = blobs.listed(Path.cwd(), _REF)
    return {item.path: data for item, data in zip(found, blobs.contents(Path.cwd(), found), strict=True)}
