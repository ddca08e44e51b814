"""Destroys what the pipelines of a run made with Terraform, by the states in the run's project."""

from collections.abc import Mapping
from pathlib import Path

from factory.errors import NotFound
from factory.gitlab.connect import Connection, project_id
from factory.model.secret import Secret
from factory.operations import infra_job
from factory.operations.prove import namespaces
from factory.operations.prove.deadline import Deadline
from factory.operations.prove.record import Record
from factory.operations.prove.throwaway_clone import APP
from factory.policies import apps as app_files
from factory.policies.folder import read_folder
from factory.system import clock, files
from factory.system.toolchain import tool_env, toolchain
from factory.terraform.program import Terraform
from factory.terraform.state import State

_PAUSE = 0.5
_NO_COMMIT = "0" * 40
_PLAN = "destroy.tfplan"


def destroy(
    place: Path,
    made: Record,
    project: Connection,
    *,
    token: str,
    cloudflare: Secret,
    env: Mapping[str, str],
    deadline: Deadline,
) -> list[str]:
    """Destroy what the stacks' states have; return the stacks that had something.

    Cancels the project's pipelines first, and waits: a job that still applies would write after the destruction. Then
    nobody holds a lock on a state, so that one that is left is removed. Raises Terraform's errors, and ``ProofFailed``
    if the time is over.
    """
    try:
        number = project_id(project)
    except NotFound:
        return []
    while namespaces.cancel_pipelines(project):
        deadline.left()
        clock.sleep(_PAUSE)
    given = {"CI_API_V4_URL": f"{made.url}/api/v4", "CI_PROJECT_ID": str(number), "CI_JOB_TOKEN": token}
    tools = toolchain(env, place / "clone")
    program = tools.terraform(read_folder(place / "clone").terraform.program)
    apps = app_files.read({APP: files.read_bytes(place / "clone" / APP)})
    found = []
    for stack in made.hostnames:
        backend = infra_job.backend(given, stack) | {"TF_HTTP_USERNAME": project.account}
        state = State(backend["TF_HTTP_ADDRESS"], username=project.account, token=token)
        if not state.read():
            continue
        if (held := state.holder()) is not None:
            state.unlock(held)
        terraform = Terraform(
            place / "clone/terraform/live" / stack,
            program=program,
            env={
                **tool_env(env, tools),
                **{name: made.variables[name] for name in infra_job.PASSED if name in made.variables},
                **backend,
                "HOME": env.get("HOME", "/nonexistent"),
                "CLOUDFLARE_API_TOKEN": cloudflare.reveal(),
                "TF_VAR_account_id": made.account,
                # The states name what is destroyed; the variable must only be valid.
                "TF_VAR_apps": app_files.variable(apps, stack, {app: f"{app}-{_NO_COMMIT}" for app in apps}),
            },
        )
        terraform.start()
        if terraform.write_plan(_PLAN, lock=True, destroy=True):
            terraform.apply_plan(_PLAN, place / f"{stack}.jsonl", lock=True, seconds=deadline.left())
            found.append(stack)
    return found
