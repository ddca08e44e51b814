"""``factory pipeline``: shows pipelines and job logs, and starts pipelines."""

from pathlib import Path

import click

from factory.cli import output
from factory.cli.current import current, number
from factory.errors import GateFailed, NotFound
from factory.gitlab import merge_requests, pipelines
from factory.instance.workspace import BOT
from factory.model.gitlab import MAIN
from factory.policies.folder import read_folder
from factory.system import files

_NEWEST = 20


@click.group()
def command() -> None:
    """Show pipelines and the logs of their jobs."""


@command.command(name="list")
@click.option("--all", "everything", is_flag=True, help="All pipelines (default: the newest 20).")
@output.as_json
def list_(everything: bool, as_json: bool) -> None:
    """List pipelines, newest first."""
    found = pipelines.newest(current().connection(), limit=None if everything else _NEWEST)
    columns = ("id", "status", "source", "ref", "sha")
    output.rows(found, columns, json_wanted=as_json, empty="no pipelines")


@command.command()
@click.argument("pipeline")
@output.as_json
def show(pipeline: str, as_json: bool) -> None:
    """Show a pipeline's jobs."""
    connection = current().connection()
    found = pipelines.get(connection, number(pipeline, "#"))
    if not as_json:
        click.echo(f"pipeline {found.id}  {found.status}  {found.source}  {found.ref}  {found.sha[:12]}")
        if found.yaml_errors:
            click.echo(f"the pipeline definition is invalid: {found.yaml_errors}")
    jobs = pipelines.jobs(connection, found.id)
    columns = ("id", "stage", "name", "status", "failure_reason", "duration")
    output.rows(jobs, columns, json_wanted=as_json, empty="no jobs")


@command.command()
@click.option("--ref", default="main", show_default=True, help="The branch.")
@output.as_json
def run(ref: str, as_json: bool) -> None:
    """Start a pipeline on a branch, as the factory's bot, because whoever starts it cannot approve its deployment."""
    workspace = current()
    bot = workspace.connection(BOT)
    started = pipelines.create(bot, ref)
    text = f"pipeline {started.id} is {started.status} on {started.ref}"
    # Its plan is shipped with the merge request of its commit: only a recorded plan may be applied.
    carried = next((item for item in merge_requests.merged_last(bot) if item.sha == started.sha), None)
    if ref == MAIN and carried is not None:
        label = read_folder(workspace.settings.clone).session.labels.shipping
        merge_requests.relabel(bot, carried.iid, add=[label])
        text += f"; `factory work` ships its plan with !{carried.iid}"
    output.one(started, json_wanted=as_json, text=text)


@command.command()
@click.argument("file", default=".gitlab-ci.yml", type=click.Path(path_type=Path))
@output.as_json
def check(file: Path, as_json: bool) -> None:
    """Ask GitLab whether it accepts the pipeline definition in FILE (default: .gitlab-ci.yml)."""
    found = pipelines.errors(current().connection(), files.read_text(file))
    text = "\n".join(found) or f"GitLab accepts {file}"
    output.one({"valid": not found, "errors": found}, json_wanted=as_json, text=text)
    if found:
        raise GateFailed(f"GitLab refuses {file}", hint="Correct the lines that it names.")


@command.command()
@click.argument("pipeline")
@click.option("--job", help="Only this job (default: the failed jobs, or all if none failed).")
@output.as_json
def logs(pipeline: str, job: str | None, as_json: bool) -> None:
    """Show the logs of a pipeline's jobs."""
    connection = current().connection()
    found = pipelines.jobs(connection, number(pipeline, "#"))
    failed = [item for item in found if item.status == "failed"]
    wanted = [item for item in found if item.name == job] if job else failed or found
    if job and not wanted:
        raise NotFound(
            f"pipeline {pipeline} has no job {job}", hint=f"Its jobs are {', '.join(item.name for item in found)}."
        )
    texts = {item.name: pipelines.trace(connection, item.id) for item in wanted}
    output.one(texts, json_wanted=as_json, text="\n".join(f"== {name} ==\n{text}" for name, text in texts.items()))
