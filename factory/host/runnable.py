"""Decides which releases a host may run in an environment, from the statements of the log. Pure.

A host runs nothing else. In the log's order each release needs: a merge whose approval holds, a plan of the merge
commit recorded after that merge, whose subjects name the release's archive, and an approval to deploy that plan
recorded after the plan, where the plan says that policy asks for one. Earlier plans of the same commit don't count: a
merge request's own plan, which no merge precedes, names code that nobody has approved.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from factory.evidence import approvals, statement
from factory.evidence.facts import ByMergeRequest, Facts, gather
from factory.evidence.transparency_log import Entry
from factory.evidence.trust import ALONE, APART, Trust
from factory.model.gitlab import MAIN

# Why a release must run: it is deployed, it was before the deployed one, it may be deployed, or a rollback goes to it.
Role = Literal["deployed", "before", "next", "rollback"]
_LATEST: tuple[Role, ...] = ("deployed", "before")


@dataclass(frozen=True)
class Release:
    """A release that may run: an app at a commit, the digest of its archive, and the plan that names both.

    ``pipeline`` built it. ``index`` is the log index of the plan's statement.
    """

    app: str
    commit: str
    archive: str
    plan: str
    pipeline: int
    index: int

    @property
    def name(self) -> str:
        """The release's name, which the plan gives to the app's ingress rule."""
        return f"{self.app}-{self.commit}"


def subjects(commit: str, archives: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return the subjects with which a plan of a commit names the archives (app and digest) of its releases."""
    return {f"{statement.RELEASE}{app}-{commit}": archive for app, archive in archives}


def runnable(entries: Sequence[Entry], *, project: str, environment: str, trust: Trust) -> tuple[Release, ...]:
    """Return the releases that a project's host may run in an environment, in the order of their plans.

    The entries must be valid: signed by trusted keys in their part of the log. One release name belongs to the first
    archive that a plan after its merge names, in any environment: another build of the same commit with other bytes is
    never runnable.
    """
    own = [entry for entry in entries if entry.predicate["project"] == project]
    grouped, first, found = ByMergeRequest(own), dict[str, str](), dict[str, Release]()
    for plan in own:
        if plan.kind != "plan" or plan.predicate["merge_request"] is None:
            continue
        number = plan.predicate["merge_request"]
        facts = _honest(gather(grouped.about(number), number, trust))
        if facts is None or not _of_merge(plan, facts):
            continue
        for release in _named(plan):
            if first.setdefault(release.name, release.archive) != release.archive:
                continue
            if plan.predicate["stack"] == environment and _approved(facts, plan):
                found.setdefault(release.name, release)
    return tuple(found.values())


def needed(releases: Sequence[Release], entries: Sequence[Entry], *, project: str, environment: str) -> dict[str, Role]:
    """Return the names of the runnable releases that must run, so that a switch or a return takes no start, with why.

    For each app, these are the release of the newest verified deployment, the one before it, and every release whose
    plan is later than those of all deployed ones. The releases of the commit to which a later rollback goes are needed
    too.
    """
    deployed = [
        entry.predicate["commit"]
        for entry in entries
        if entry.kind == "deploy"
        and (entry.predicate["project"], entry.predicate["environment"]) == (project, environment)
        and entry.predicate["verified"]
    ]
    back = _going_back(entries, project=project, environment=environment)
    roles: dict[str, Role] = {release.name: "rollback" for release in releases if release.commit == back}
    for app in {release.app for release in releases}:
        own = {release.commit: release for release in releases if release.app == app}
        order = [own[commit] for commit in deployed if commit in own]
        last = max((release.index for release in order), default=-1)
        latest = dict.fromkeys(release.name for release in reversed(order))
        for name, role in zip(latest, _LATEST, strict=False):
            roles.setdefault(name, role)
        for release in own.values():
            if release.index > last:
                roles.setdefault(release.name, "next")
    return roles


def _going_back(entries: Sequence[Entry], *, project: str, environment: str) -> str | None:
    """Return the commit to which the newest rollback goes, unless a later deployment is verified."""
    for entry in reversed(entries):
        if (entry.predicate["project"], entry.predicate.get("environment")) != (project, environment):
            continue
        if entry.kind == "rollback":
            return str(entry.predicate["commit"])
        if entry.kind == "deploy" and entry.predicate["verified"]:
            return None
    return None


def _honest(facts: Facts | None) -> Facts | None:
    """Return the facts without the approvals that count for nothing: by an agent, simulated, of the wrong type."""
    if facts is None:
        return None
    given = facts.some("approval")
    kept = [
        item
        for item in given
        if not approvals.forbidden(item, facts.trust) and not approvals.of_own_change(item, facts)
    ]
    return replace(facts, of={**facts.of, "approval": kept})


def _of_merge(plan: Entry, facts: Facts) -> bool:
    """Return whether the plan is of the merge commit, recorded after a merge of what was approved."""
    merge = facts.merge
    if merge is None or len(facts.some("merge")) > 1 or plan.predicate["commit"] != facts.merge_commit:
        return False
    if merge.index > plan.index or merge.predicate["target"] != MAIN:
        return False
    if facts.trust.separation == APART and facts.trust.is_agent(merge.predicate["merged_by"]):
        return False
    link = approvals.to_merge(facts)
    return not link.missing and all(check.passed for check in link.checks)


def _approved(facts: Facts, plan: Entry) -> bool:
    """Return whether policy asked no approval of the plan, or a person approved it after it was recorded."""
    if not plan.predicate["approvals"] or facts.trust.separation == ALONE:
        return True
    return any(
        item.index > plan.index
        and item.predicate["plan"] == plan.predicate["plan"]
        and item.predicate["head"] in {facts.head, facts.merge_commit}
        for item in facts.some("approval", scope="deploy")
    )


def _named(plan: Entry) -> Iterator[Release]:
    predicate = plan.predicate
    end = f"-{predicate['commit']}"
    for name, digest in statement.releases_of(plan.statement).items():
        app = name.removesuffix(end)
        if name == f"{app}{end}" and app and digest.startswith("sha256:"):
            yield Release(app, predicate["commit"], digest, predicate["plan"], predicate["pipeline"], plan.index)
