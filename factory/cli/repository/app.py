"""``factory app``: lists the apps, and adds an existing repository as one."""

import re
from dataclasses import asdict
from pathlib import Path
from urllib.parse import urlsplit

import click

from factory.cli import environment, output
from factory.cli.current import current, repository
from factory.cli.repository import app_check, app_new, app_release
from factory.config import environments
from factory.errors import GateFailed, InvalidInput
from factory.instance import provision
from factory.instance.workspace import OPERATOR, Workspace
from factory.model.gitlab import MAIN
from factory.operations.repository import adopt, app_checks, app_tests
from factory.policies.folder import read_folder
from factory.reports.markdown import count
from factory.system import files, process
from factory.worktrees.import_files import bring
from factory.worktrees.repository import Author, Mirror, credentials

_NAME = re.compile(r"[a-z][a-z0-9-]{0,40}")


@click.group()
def command() -> None:
    """List the apps, add an existing repository as one, test and build them."""


command.add_command(app_check.command, "check")
command.add_command(app_new.command, "new")
command.add_command(app_release.show)
command.add_command(app_release.build_)


@command.command(name="list")
@output.as_json
def list_(as_json: bool) -> None:
    """List the apps of the protected branch, with their hostnames."""
    workspace = current()
    mirror = _fetched(workspace)
    apps = adopt.existing(mirror, mirror.head(MAIN) or "")
    hostnames = {name: {key: item.hostname for key, item in app.environments.items()} for name, app in apps.items()}
    shown = {name: ", ".join(f"{key}={host}" for key, host in found.items()) for name, found in hostnames.items()}
    rows = [
        {
            "name": name,
            "hostnames": hostnames[name] if as_json else shown[name],
            "health": app.health,
            "requests_per_minute": app.requests_per_minute,
        }
        for name, app in apps.items()
    ]
    output.rows(rows, ("name", "hostnames", "health"), json_wanted=as_json, empty="no apps")


@command.command()
@click.argument("source", metavar="PATH|URL")
@click.option("--name", help="The app's name (default: the repository's).")
@click.option("--ref", default="HEAD", help="The repository's branch or tag (default: HEAD).")
@click.option(
    "--hostname", "hostnames", multiple=True, metavar="ENVIRONMENT=HOST", help="The app's hostname in an environment."
)
@click.option("--squash", is_flag=True, help="Leave the repository's history out.")
@output.as_json
def add(source: str, name: str | None, ref: str, hostnames: tuple[str, ...], squash: bool, as_json: bool) -> None:
    """Open a merge request, as you, that adds a repository as apps/NAME, with its history.

    Its one commit merges that history. It also adds a draft spec and, if the pipeline can build the app, an app.yml
    with its hostnames. The commit's message names the source commit.
    """
    workspace = current()
    called = name or _called(source)
    if not _NAME.fullmatch(called):
        raise InvalidInput(
            f"{called!r} is not a valid app name: use lowercase letters, digits and hyphens", hint="Set --name."
        )
    requested = dict(_pair(text) for text in hostnames)
    mirror = _fetched(workspace)
    token = workspace.token(OPERATOR)
    same_server = urlsplit(source)[:2] == urlsplit(workspace.url)[:2]
    found = bring(mirror, source, ref=ref, env=credentials(source, token) if same_server else None, history=not squash)
    person = workspace.connection()
    proposed = adopt.propose(
        mirror,
        person,
        token,
        found,
        name=called,
        hostnames=requested,
        author=Author(person.account, f"{person.account}@localhost"),
    )
    lines = [f"!{proposed.request.iid} {proposed.request.title}: {count(len(found.paths), 'file')} in apps/{called}"]
    lines += [f"  hostname in {key}: {host}" for key, host in proposed.hostnames.items()]
    lines += [f"  not deployed: {proposed.waits}"] if proposed.waits else []
    lines += [f"  {line}" for line in proposed.detected.lines()]
    lines.append(f"  next: fill in specs/{called}.md on the branch {proposed.request.source_branch}, then merge it")
    value = {
        "name": called,
        "merge_request": proposed.request.iid,
        "web_url": proposed.request.web_url,
        "commit": proposed.request.sha,
        "source": found.commit,
        "hostnames": proposed.hostnames,
        "deployed": not proposed.waits,
        "left_out": proposed.left_out,
        "detected": asdict(proposed.detected),
    }
    output.one(value, json_wanted=as_json, text="\n".join(lines))


@command.command()
@click.argument("out", type=click.Path(path_type=Path))
@output.as_json
def test(out: Path, as_json: bool) -> None:
    """Run the apps' own tests and checks, as the job `unit` does; OUT receives the log, the exit code and the reports.

    What an app needs is installed first, from the files that policies/apps.yml or the app's own folder names.
    """
    folder, given = repository(), environment.snapshot()
    rules = read_folder(folder)
    env = {**given, "PATH": f"{Path(process.python()).parent}:{given.get('PATH', '')}"}
    suites = app_tests.of_checkout(environments(given), rules, folder, env=env)
    earlier, before = folder / app_tests.EARLIER, out.absolute() / app_tests.EARLIER.name
    app_tests.run_before(suites, earlier, before, env=given)
    code = app_tests.run(suites, folder, out.absolute(), env=given)
    app_checks.run(suites, earlier, before, env=given, before=True)
    log = app_checks.run(suites, folder, out.absolute(), env=given)
    files.write_atomic(out / "log.txt", files.read_bytes(out / "log.txt") + log)
    output.one({"code": code, "out": str(out)}, json_wanted=as_json, text=files.read_text(out / "log.txt"))
    if code:
        raise GateFailed(f"the tests ended with {code}")


def _fetched(workspace: Workspace) -> Mirror:
    mirror = provision.mirror(workspace, workspace.url, workspace.settings["project"])
    mirror.fetch(workspace.token(OPERATOR))
    return mirror


def _called(source: str) -> str:
    last = source.rstrip("/").removesuffix(".git").rpartition("/")[2]
    return re.sub(r"[^a-z0-9]+", "-", last.lower()).strip("-")


def _pair(text: str) -> tuple[str, str]:
    environment, sign, host = text.partition("=")
    if not (environment and sign and host):
        raise InvalidInput(f"{text!r} is not like production=www.example.com")
    return environment, host
