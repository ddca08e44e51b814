"""Reads the plans that a pipeline saved from GitLab: one manifest for each stack, and the planned changes."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from factory.errors import EvidenceInvalid, InvalidInput, NotFound
from factory.gitlab import pipelines
from factory.gitlab.connect import Connection
from factory.model.facts import Plan
from factory.system import canonical, data
from factory.terraform import plan as planning
from factory.terraform.manifest import Manifest, decode

PLAN_JOB = "plan"
FOLDER = ".factory/plan"
_APPLY = "apply-"
# Stands for the job of a project whose pipelines plan nothing.
NO_JOB = 0


@dataclass(frozen=True)
class SavedPlan:
    """A plan job's id and the manifest of each stack; without manifests if the change affects no stack.

    The id is ``NO_JOB`` if the project deploys nothing, so that its pipelines plan nothing.
    """

    job: int
    manifests: Mapping[str, Manifest]

    def digest(self, stack: str) -> str:
        """Return the digest of a stack's manifest, which the deployment's approval names; raises ``NotFound``."""
        if stack not in self.manifests:
            raise NotFound(
                f"the pipeline saved no plan of the stack {stack}",
                hint="A pipeline plans only the stacks that its change affects; its job `plan` names them.",
            )
        return self.manifests[stack].digest()

    @property
    def combined(self) -> str | None:
        """The digest of all stacks' normalised plans, which the merge request's approval names."""
        return combined({name: manifest.plan for name, manifest in self.manifests.items()})


def combined(plans: Mapping[str, str]) -> str | None:
    """Return one digest of the plans of several stacks (name to digest), or ``None`` without plans."""
    return canonical.digest_of(dict(plans)) if plans else None


def of(connection: Connection, pipeline: int) -> SavedPlan:
    """Return what a pipeline's plan job saved; raises ``NotFound`` if it saved no plan or a plan failed."""
    jobs = pipelines.jobs(connection, pipeline)
    if jobs and not any(job.name == PLAN_JOB or job.name.startswith(_APPLY) for job in jobs):
        return SavedPlan(NO_JOB, {})
    for job in jobs:
        if job.name == PLAN_JOB:
            data = pipelines.artifact(connection, job.id, f"{FOLDER}/{planning.INDEX}")
            if data is not None:
                names = sorted(json.loads(data)["stacks"])
                return SavedPlan(job.id, {name: _manifest(connection, job.id, name) for name in names})
    raise NotFound(
        f"pipeline {pipeline} saved no plan",
        hint=f"See what its job did with `factory pipeline logs {pipeline} --job {PLAN_JOB}`.",
    )


def plans(connection: Connection, saved: SavedPlan) -> tuple[Plan, ...]:
    """Return the changes of each saved plan."""
    found = []
    for name in saved.manifests:
        try:
            data = pipelines.artifact(connection, saved.job, f"{FOLDER}/{name}/{planning.PLAN_JSON}")
        except InvalidInput as error:
            found.append(Plan(name, "", problem=str(error)))
            continue
        if data is None:
            found.append(Plan(name, "", problem="the plan's JSON is missing"))
        else:
            found.append(planning.facts(name, canonical.digest(data), json.loads(data)))
    return tuple(found)


def archives(connection: Connection, saved: SavedPlan) -> Mapping[str, Mapping[str, str]]:
    """Return, by stack, the digest of each app's archive that its plan was made with; raises ``EvidenceInvalid``.

    Empty in a merge request and for a rollback, which build nothing, and for plans of earlier versions.
    """
    found: dict[str, Mapping[str, str]] = {}
    for name, manifest in saved.manifests.items():
        content = pipelines.artifact(connection, saved.job, f"{FOLDER}/{name}/{planning.ARCHIVES}")
        if content is None:
            continue
        named = data.parse(dict[str, str], content, source=planning.ARCHIVES)
        if canonical.digest_of(named) != manifest.archives:
            raise EvidenceInvalid(f"{planning.ARCHIVES} of the stack {name} is not the file that its manifest names")
        found[name] = named
    return found


def left(connection: Connection, saved: SavedPlan, stack: str, counted: Callable[[Plan], int]) -> str:
    """Return what the saved plan of a stack changes; empty if nothing but noise, which ``counted`` leaves out."""
    normalised = pipelines.document(connection, saved.job, f"{FOLDER}/{stack}/{planning.PLAN_JSON}")
    if canonical.digest_of(normalised) != saved.manifests[stack].plan:
        return "what its JSON, which is missing or altered, does not show"
    return planning.left(stack, normalised, counted)


def _manifest(connection: Connection, job: int, stack: str) -> Manifest:
    data = pipelines.artifact(connection, job, f"{FOLDER}/{stack}/{planning.MANIFEST}")
    if data is None:
        raise NotFound(
            f"job {job} saved no plan of the stack {stack}",
            hint="The job's artifacts were deleted. Plan again with `factory pipeline run`.",
        )
    return decode(data)
