"""``factory infra add``: brings Terraform and the pipeline that deploys into a company's repository, on a branch."""

from pathlib import Path

import click

from factory.cli import environment, output
from factory.cli.current import current
from factory.instance import servers
from factory.operations.repository import infrastructure, starter
from factory.policies import apps as app_files
from factory.policies import read as policy_files
from factory.worktrees.person_clone import PersonClone


@click.command()
@click.argument("domain")
@click.option(
    "--staging",
    default="",
    metavar="DOMAIN",
    help="The domain of staging (default: example-staging.com of example.com).",
)
@output.as_json
def add(domain: str, staging: str, as_json: bool) -> None:
    """Add the infrastructure for DOMAIN, such as example.com: Terraform for staging and production, and their jobs.

    Writes the files on a new branch, with what policies/ needs merged into your changes there, and pushes nothing. Each
    app that the pipeline can build and that has no hostname yet gets NAME.DOMAIN. Terraform creates both zones; for a
    zone that exists, use `factory infra adopt-zone` in place of this command.
    """
    servers.install_terraform(current())
    clone = PersonClone(Path.cwd(), environment.snapshot()).whole()
    paths, left = clone.paths(), clone.place()
    policies = policy_files.read(clone.matching(policy_files.PATH))
    domains = infrastructure.domains_of(domain, staging)
    changes = infrastructure.made(
        starter.layout_of(paths, clone.read, folder=clone.path.name),
        paths,
        clone.read,
        policies.terraform.stacks,
        domains=domains,
        merge=clone.merge_file,
    )
    commit = clone.start(infrastructure.BRANCH, changes, message=f"Add the infrastructure for {domain}\n")
    undo = f"git switch {left} && git branch -D {infrastructure.BRANCH}"
    changed = [path for path in changes if path in paths]
    new = [path for path in changes if path not in paths]
    lines = [
        f"branch {infrastructure.BRANCH}: {len(new)} files new, {len(changed)} changed: {', '.join(changed)}",
        *(f"  {name}: the zone {zone}" for name, zone in domains.items()),
        *(f"  written: {path}" for path in new if app_files.PATH.fullmatch(path)),
        f"  nothing is pushed · undo: {undo}",
        "  next: factory propose; once it is merged, factory gitlab apply",
    ]
    value = {"branch": infrastructure.BRANCH, "commit": commit, "domains": domains, "new": new, "changed": changed}
    output.one(value | {"undo": undo}, json_wanted=as_json, text="\n".join(lines))
