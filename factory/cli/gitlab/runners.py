"""``factory gitlab runners``: the project's own runners, one that deploys and one for code from merge requests."""

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
    """List and register runners of your own; hosted ones need nothing of this."""


@command.command(name="list")
@output.as_json
def list_(as_json: bool) -> None:  # noqa: FBT001 - click passes flags so
    """List the project's own runners: which jobs each takes, and whether GitLab hears of it."""
    found = [asdict(item) for item in runners.find(current().connection())]
    columns = ("name", "status", "tags", "protected", "run_untagged", "paused")
    output.rows(found, columns, json_wanted=as_json, empty="the project has no runners of its own")


@command.command()
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The folder for NAME.toml, for you alone.")
@click.option(
    "--executor",
    type=click.Choice(["docker", "shell"]),
    default="docker",
    show_default=True,
    help="What runs a job; a shell has the whole machine.",
)
@click.option("--only", metavar="NAME", help="One of those that policies/gitlab.yml names.")
@click.option("--renew", is_flag=True, help="Give those that are there already a new token; the old one is void.")
@output.as_json
def register(out: Path, executor: Executor, only: str | None, renew: bool, as_json: bool) -> None:  # noqa: FBT001 - click passes flags so
    """Make the runners of policies/gitlab.yml, and write gitlab-runner's configuration of each to a private file.

    Each file is for a machine of its own: `gitlab-runner run --config NAME.toml`. A token is shown by GitLab once.
    """
    workspace = current()
    wanted = _wanted(read_folder(workspace.settings.clone), only)
    _refuse_shell(wanted, executor)
    done = _register(workspace, wanted, _folder(workspace, out), executor, renew=renew)
    fresh = [item for item in done if item["state"] != "as it was"]
    output.rows(done, ("name", "state", "file"), json_wanted=as_json, empty="policies/gitlab.yml names no runners")
    if fresh and not as_json:
        output.say(
            f"start each on its machine; then, in policies/gitlab.yml, `variables: "
            f"{{{runners.VARIABLE}: {{value: {runners.OWN}}}}}`, and `factory gitlab apply`"
        )


def _wanted(policies: Policies, only: str | None) -> dict[str, Fields]:
    found = desired_settings.runners(policies)
    if only is None:
        return found
    if only not in found:
        raise NotFound(f"policies/gitlab.yml names no runner {only!r}", hint=f"It names: {', '.join(found) or 'none'}.")
    return {only: found[only]}


def _refuse_shell(wanted: dict[str, Fields], executor: Executor) -> None:
    open_to_all = [name for name, fields in wanted.items() if not fields["protected"]]
    if executor == "shell" and open_to_all:
        raise Refused(
            f"{open_to_all[0]} runs code from merge requests: in a shell it would have the whole machine",
            hint="Take --executor docker for it, and --only NAME for the protected one in a shell.",
        )


def _folder(workspace: Workspace, out: Path) -> Path:
    """Return the folder, private and there before GitLab makes a token that would be lost without it."""
    where, clone = out.resolve(), workspace.settings.clone
    if clone in (where, *where.parents):
        raise Refused(
            f"{out} lies in the repository", hint="Name a folder outside: a token would be committed one day."
        )
    if where.exists() and not where.is_dir():
        raise InvalidInput(f"{out} is no folder")
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
                    f"the runner {name} is there, and {target} is not: its token was shown once",
                    hint="Give it a new one with --renew; the old one is void then.",
                )
            done.append({"name": name, "state": "as it was", "file": str(target)})
            continue
        token = runners.renew(connection, known[name]) if name in known else runners.register(connection, name, fields)
        text = runner_config.toml(url=connection.url, name=name, token=token, executor=executor, jobs=_JOBS)
        files.write_atomic(target, text.encode(), mode=0o600)
        state = "renewed" if name in known else "registered"
        done.append({"name": name, "state": state, "file": str(target)})
    return done
