"""``factory app``: list the apps, and bring an existing repository under the factory."""

import re
from urllib.parse import urlsplit

import click

from factory.cli import output
from factory.cli.current import current
from factory.errors import InvalidInput
from factory.instance import provision
from factory.instance.workspace import OPERATOR, Workspace
from factory.model.gitlab import MAIN
from factory.operations import adopt
from factory.worktrees.bring import bring
from factory.worktrees.repository import Author, Mirror, credentials

_NAME = re.compile(r"[a-z][a-z0-9-]{0,40}")


@click.group()
def command() -> None:
    """List the apps, and bring a repository under the factory as one."""


@command.command(name="list")
@output.as_json
def list_(as_json: bool) -> None:  # noqa: FBT001 - click passes flags so
    """List the apps of the protected branch, and where each is reached."""
    workspace = current()
    mirror = _fetched(workspace)
    found = [
        {
            "name": name,
            "hostnames": {key: item.hostname for key, item in app.environments.items()},
            "health": app.health,
            "requests_per_minute": app.requests_per_minute,
        }
        for name, app in adopt.existing(mirror, mirror.head(MAIN) or "").items()
    ]
    output.rows(found, ("name", "hostnames", "health"), json_wanted=as_json, empty="no apps")


@command.command()
@click.argument("source", metavar="PATH|URL")
@click.option("--name", help="What the app is called (default: as the repository).")
@click.option("--ref", default="HEAD", help="Its branch or tag (default: HEAD).")
@click.option("--hostname", "hostnames", multiple=True, metavar="ENVIRONMENT=HOST", help="Where it is reached.")
@output.as_json
def add(source: str, name: str | None, ref: str, hostnames: tuple[str, ...], as_json: bool) -> None:  # noqa: FBT001 - click passes flags so
    """Open a merge request that brings a repository's files in as apps/NAME, as you.

    With them come a draft of its spec and, where the pipeline can build it, the file that says where it is reached.
    Its history stays where it is; the commit names what it was made from.
    """
    workspace = current()
    called = name or _called(source)
    if not _NAME.fullmatch(called):
        raise InvalidInput(f"{called!r} is no name of an app: small letters, digits, hyphens", hint="Give --name.")
    wanted = dict(_pair(text) for text in hostnames)
    mirror = _fetched(workspace)
    token = workspace.token(OPERATOR)
    near = urlsplit(source)[:2] == urlsplit(workspace.url)[:2]
    found = bring(mirror, source, ref=ref, env=credentials(source, token) if near else None)
    person = workspace.connection()
    made = adopt.propose(
        mirror,
        person,
        token,
        found,
        name=called,
        hostnames=wanted,
        author=Author(person.account, f"{person.account}@localhost"),
    )
    lines = [f"!{made.request.iid} {made.request.title}: {len(found.paths)} files in apps/{called}"]
    lines += [f"  it will be reached at {host} ({key})" for key, host in made.hostnames.items()]
    lines += [] if made.deployed else [f"  it is not deployed: apps/{called}/{adopt.ENTRY} is not there"]
    lines.append(f"  next: fill in specs/{called}.md on the branch {made.request.source_branch}, then merge it")
    value = {
        "name": called,
        "merge_request": made.request.iid,
        "web_url": made.request.web_url,
        "commit": made.request.sha,
        "source": found.commit,
        "hostnames": made.hostnames,
        "deployed": made.deployed,
        "left_out": made.left_out,
    }
    output.one(value, json_wanted=as_json, text="\n".join(lines))


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
