"""``factory infra adopt-zone``: lets roots of terraform/live use a zone that exists, on a branch."""

import re
from dataclasses import asdict, replace
from pathlib import Path

import click

from factory.cli import environment, output
from factory.cli.current import current
from factory.cloudflare import zones
from factory.cloudflare.client import Reader
from factory.errors import InvalidInput, NotFound, Unauthorized
from factory.instance import servers
from factory.operations.repository import infrastructure, starter
from factory.operations.zone import adoption
from factory.policies import apps as app_files
from factory.policies import read as policy_files
from factory.terraform.stacks import LIVE
from factory.worktrees.person_clone import PersonClone

_ZONE = re.compile(rf"{LIVE}/[^/]+/{re.escape(adoption.ZONE_FILE)}")


@click.command("adopt-zone")
@click.argument("name")
@click.option(
    "--environment", "named", multiple=True, metavar="E", help="A folder of terraform/live (default: all of them)."
)
@click.option(
    "--rules",
    metavar="E",
    help="The environment whose root has the zone's rules (default: `deploy` in policies/environments.yml).",
)
@output.as_json
def adopt_zone(name: str, named: tuple[str, ...], rules: str | None, as_json: bool) -> None:
    """Let Terraform use the existing zone NAME: it will touch only its own records, rules and tunnels there.

    Reads the zone with CLOUDFLARE_API_TOKEN, shows what it has, and writes the roots on a new branch. Pushes nothing.
    A company's repository without Terraform gets it on that branch, as by `factory infra add`.
    """
    servers.install_terraform(current())
    clone = PersonClone(Path.cwd(), environment.snapshot()).whole()
    paths = clone.paths()
    policies = policy_files.read(clone.matching(policy_files.PATH))
    added: dict[str, bytes | None] = {}
    if not any(map(_ZONE.fullmatch, paths)):
        if named:
            raise InvalidInput(f"{LIVE} has no {named[0]}", hint="Leave --environment out: both roots are new.")
        added = infrastructure.made(
            starter.layout_of(paths, clone.read, folder=clone.path.name),
            paths,
            clone.read,
            policies.terraform.stacks,
            domains=infrastructure.shared(name),
            merge=clone.merge_file,
            adopted=True,
        )
    new = {path: data for path, data in added.items() if data is not None}
    roots = {**clone.matching(_ZONE), **{path: data for path, data in new.items() if _ZONE.fullmatch(path)}}
    texts = {path.split("/")[2]: data.decode() for path, data in sorted(roots.items())}
    placed = {path: data for path, data in new.items() if app_files.PATH.fullmatch(path)}
    reader = _reader()
    decided = adoption.decide(
        zones.contents(reader, zones.find(reader, name)),
        app_files.read({**clone.matching(app_files.PATH), **placed}),
        texts,
        named or tuple(texts),
        owner=rules or policies.environments.deploy,
    )
    changes = {**added, **decided.changes}
    branch, left = f"adopt-{name}", clone.place()
    commit = clone.start(branch, changes, message=f"Adopt the zone {name}\n") if changes else ""
    undo = f"git switch {left} && git branch -D {branch}" if commit else ""
    done = {"changes": list(changes), "branch": branch if commit else "", "commit": commit, "undo": undo}
    value = asdict(replace(decided, changes={})) | done
    output.one(value, json_wanted=as_json, text="\n".join(_lines(decided, branch, undo, len(changes))))


def _reader() -> Reader:
    """Return a reader with the environment's token, or on an embedded instance with that of its simulator."""
    given = environment.snapshot()
    token = given.get("CLOUDFLARE_API_TOKEN")
    if token:
        return Reader(token, url=given.get("CLOUDFLARE_BASE_URL", ""))
    workspace = current()
    try:
        port = workspace.record.ports["cloudflare"]
    except (NotFound, KeyError) as error:
        raise Unauthorized(
            "CLOUDFLARE_API_TOKEN is not set",
            hint="Set it to a token that reads the zone: Zone, DNS, Zone Settings and Zone WAF.",
        ) from error
    return Reader(workspace.cloudflare_tokens()["plan"], url=f"http://127.0.0.1:{port}/client/v4")


def _lines(found: adoption.Adoption, branch: str, undo: str, changed: int) -> list[str]:
    records = ", ".join(f"{count} {kind}" for kind, count in found.records.items()) or "none"
    rules = ", ".join(f"{count} in {phase}" for phase, count in found.rules.items()) or "none"
    lines = [
        f"zone {found.name} ({found.zone}) in the account {found.account}, plan {found.plan}",
        f"  records: {records}",
        f"  rules: {rules}",
        f"  stay as they are: all rules, {found.settings} settings, and the records but those named below",
    ]
    for root in found.roots:
        if root.adopted_before:
            lines.append(f"{root.environment}: has this zone already")
            continue
        lines.append(f"{root.environment}: a tunnel {root.tunnel}, a proxied record and a route for each app")
        lines += [f"  takes over {item.what}" for item in root.imports]
        lines += [f"  no rules in {phase}: {reason}" for phase, reason in root.left_out.items()]
    if not undo:
        return [*lines, "nothing to change"]
    return [
        *lines,
        f"branch {branch}: {changed} files",
        f"  nothing is pushed · undo: {undo}",
        f"  next: set the CI variable TF_VAR_account_id to {found.account}, then factory propose",
    ]
