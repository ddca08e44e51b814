"""``factory gitlab runners``: lists and registers the project's own runners."""

from dataclasses import asdict
from pathlib import Path

import click

from factory.cli import output
from factory.cli.current import current
from factory.errors import Conflict, InvalidInput, NotFound, Refused
from factory.gitlab import runner_config, runners
from factory.gitlab.runner_config import Executor
from factory.gitlab.settings.model import Fields
from factory.instance.workspace import Workspace
from factory.policies.folder import read_folder
from factory.policies.model import Policies
from factory.system import files
from factory.workflow.drift import desired_settings

_JOBS = 2


@click.group()
def command() -> None:
    """List and register your own runners; GitLab.com's hosted runners do not need this."""


@command.command(name="list")
@output.as_json
def list_(as_json: bool) -> None:
    """List the project's own runners: which jobs each runs, and whether it is online."""
    found = [asdict(item) for item in runners.find(current().connection())]
    columns = ("name", "status", "tags", "protected", "run_untagged", "paused")
    output.rows(found, columns, json_wanted=as_json, empty="the project has no runners of its own")


@command.command()
@click.option(
    "--out", type=click.Path(path_type=Path), required=True, help="The private folder for the NAME.toml files."
)
@click.option(
    "--executor",
    type=click.Choice(["docker", "shell"]),
    default="docker",
    show_default=True,
    help="What runs a job; a job in a shell has access to the whole machine.",
)
@click.option("--only", metavar="NAME", help="Only this runner.")
@click.option("--renew", is_flag=True, help="Give existing runners new tokens; the old ones become invalid.")
@output.as_json
def register(out: Path, executor: Executor, only: str | None, renew: bool, as_json: bool) -> None:
    """Create the project's own runners, and write gitlab-runner's configuration of each to a private file.

    They are those of policies/gitlab.yml; without the section `runners` there, the two that the pipeline's jobs name.
    Run each on its own machine: `gitlab-runner run --config NAME.toml`. GitLab shows a runner's token only once.
    """
    workspace = current()
    wanted = _wanted(read_folder(workspace.settings.clone), only)
    _refuse_shell(wanted, executor)
    done = _register(workspace, wanted, _folder(workspace, out), executor, renew=renew)
    fresh = [item for item in done if item["state"] != "as it was"]
    output.rows(done, ("name", "state", "file"), json_wanted=as_json, empty="policies/gitlab.yml names no runners")
    if fresh and not as_json:
        output.say(
            f"next: start each on its machine, set `variables: {{{runners.VARIABLE}: {{value: {runners.OWN}}}}}` in "
            "policies/gitlab.yml, and run `factory gitlab apply`"
        )


def _wanted(policies: Policies, only: str | None) -> dict[str, Fields]:
    found = desired_settings.runners(policies)
    if only is None:
        return found
    if only not in found:
        raise NotFound(f"there is no runner {only!r} to register", hint=f"There are: {', '.join(found) or 'none'}.")
    return {only: found[only]}


def _refuse_shell(wanted: dict[str, Fields], executor: Executor) -> None:
    open_to_all = [name for name, fields in wanted.items() if not fields["protected"]]
    if executor == "shell" and open_to_all:
        raise Refused(
            f"{open_to_all[0]} runs code from merge requests, which in a shell has access to the whole machine",
            hint="Use --executor docker for it; with --executor shell, name the protected runner with --only.",
        )


def _folder(workspace: Workspace, out: Path) -> Path:
    """Create the private folder before GitLab creates tokens, which would be lost without it."""
    where, clone = out.resolve(), workspace.settings.clone
    if clone in (where, *where.parents):
        raise Refused(
            f"{out} is inside the repository", hint="Name a folder outside: a token could be committed by mistake."
        )
    if where.exists() and not where.is_dir():
        raise InvalidInput(f"{out} is not a folder")
    return where if where.exists() else files.private_folder(where)


def _register(
    workspace: Workspace, wanted: dict[str, Fields], folder: Path, executor: Executor, *, renew: bool
) -> list[dict[str, str]]:
    connection = workspace.connection()
    known = {item.name: item.id for item in runners.find(connection)}
    done = []
    for name, fields in wanted.items():
        target = folder / f"{name}.toml"
        if name in known and not renew:
            if not target.exists():
                raise Conflict(
                    f"the runner {name} exists, but {target} does not, and GitLab shows a token only once",
                    hint="Replace the token with --renew; the old one becomes invalid.",
                )
            done.append({"name": name, "state": "as it was", "file": str(target)})
            continue
        token = runners.renew(connection, known[name]) if name in known else runners.register(connection, name, fields)
        text = runner_config.toml(url=connection.url, name=name, token=token, executor=executor, jobs=_JOBS)
        files.write_atomic(target, text.encode(), mode=0o600)
        state = "renewed" if name in known else "registered"
        done.append({"name": name, "state": state, "file": str(target)})
    return done
