"""``factory upgrade``: merges a later release into a control repository."""

import tempfile
from pathlib import Path

import click

from factory.cli import output
from factory.cli.current import current
from factory.errors import Conflict
from factory.gitlab import merge_requests
from factory.instance import person_remote, provision
from factory.instance.workspace import OPERATOR, Workspace
from factory.model.gitlab import MAIN
from factory.operations.repository import starter, wheel_upgrade
from factory.operations.repository.app_detection import PIPELINE
from factory.reports.markdown import count
from factory.worktrees import upgrade
from factory.worktrees.repository import Mirror
from factory.worktrees.upgrade import Release

_SHOWN = 20


@click.command()
@click.option(
    "--from", "source", metavar="PATH|URL", help="The factory's repository, if yours has a copy of its source."
)
@click.option("--ref", default="HEAD", help="A branch or tag of that repository (default: HEAD).")
@click.option("--propose", is_flag=True, help="Push the branch and open its merge request, as you.")
@output.as_json
def command(source: str | None, ref: str, propose: bool, as_json: bool) -> None:
    """Merge a later release of the factory with HEAD, on a new branch.

    A repository that carries the factory's wheel gets the installed factory, and what its templates changed: install
    the later one first. If it has gained a .gitlab-ci.yml, that becomes a child pipeline. With --from, a release is
    merged into a copy of the source; your checkout does not change, and if the merge conflicts, it lists the files and
    creates no branch: resolve the conflicts with `git merge`.
    """
    if source is None:
        _wheel(as_json=as_json)
    else:
        _source(current(), source, ref, propose=propose, as_json=as_json)


def _wheel(*, as_json: bool) -> None:
    clone = person_remote.clone_of(current())
    paths = clone.paths()
    if not wheel_upgrade.carried(paths):
        raise click.UsageError("this repository carries no wheel of the factory: name its source with --from")
    layout = starter.layout_of(paths, clone.read, folder=clone.path.name)
    made = wheel_upgrade.made(layout, paths, clone.read, merge=clone.merge_file)
    if not made.files:
        _tell({"version": made.after, "upgraded": False}, f"factory {made.after} is up to date", as_json=as_json)
        return
    left, name = clone.place(), f"upgrade-factory-{made.after}" if made.replaced else "add-own-pipeline"
    subject = f"Upgrade the factory from {made.before} to {made.after}" if made.replaced else f"Run {PIPELINE} too"
    commit = clone.start(name, made.files, message=f"{subject}\n")
    undo = f"git switch {left} && git branch -D {name}"
    value = {"version": made.after, "from": made.before, "upgraded": made.replaced, "branch": name, "commit": commit}
    value |= {"files": sorted(made.files), "own_pipeline": made.own_pipeline, "undo": undo}
    lines = [f"branch {name}: factory {made.after}, {count(len(made.files), 'file')} changed"]
    lines += [f"  {PIPELINE} runs as a child pipeline of the factory's"] if made.own_pipeline else []
    lines += [f"  nothing is pushed · undo: {undo}", "  next: factory propose"]
    _tell(value, "\n".join(lines), as_json=as_json)


def _source(workspace: Workspace, source: str, ref: str, *, propose: bool, as_json: bool) -> None:
    clone = workspace.settings.clone
    with tempfile.TemporaryDirectory(prefix="factory-upgrade-") as folder:
        scratch = Mirror(Path(folder), "")
        scratch.ensure()
        base = upgrade.newest(clone)
        scratch.take(clone, base.commit)
        fresh = upgrade.import_(scratch, source, ref=ref, parent=base.commit)
        if fresh.tree == base.tree:
            _tell(
                {"version": base.version, "upgraded": False}, f"factory {base.version} is up to date", as_json=as_json
            )
            return
        kept = upgrade.keep(clone, scratch, fresh)
    merged = upgrade.merge(clone, "HEAD", fresh.commit)
    if merged.conflicts:
        raise Conflict(_conflicts(fresh, merged), hint=f"Merge it by hand: git switch -c upgrade && git merge {kept}")
    name = f"upgrade/{fresh.version}-{fresh.tree[:8]}"
    message = f"Upgrade the factory from {base.version} to {fresh.version}"
    author = person_remote.clone_of(workspace).author()
    commit = upgrade.branch(clone, name, merged, ours="HEAD", theirs=fresh.commit, message=message, author=author)
    value = {"version": fresh.version, "from": base.version, "upgraded": True, "branch": name, "commit": commit}
    lines = [f"factory {fresh.version} is merged on the branch {name}"]
    if propose:
        request = _propose(workspace, name, commit, message)
        value["merge_request"] = request
        lines.append(f"  next: review !{request}; main's gates judge it")
    else:
        lines.append(f"  next: git diff HEAD...{name}, then git push origin {name}, or run it again with --propose")
    _tell(value, "\n".join(lines), as_json=as_json)


def _tell(value: dict[str, object], text: str, *, as_json: bool) -> None:
    output.one(value, json_wanted=as_json, text=text)


def _conflicts(fresh: Release, merged: upgrade.MergeResult) -> str:
    more = len(merged.conflicts) - _SHOWN
    shown = [*merged.conflicts[:_SHOWN], *([f"and {more} more"] if more > 0 else [])]
    return f"factory {fresh.version} conflicts with this repository in {', '.join(shown)}"


def _propose(workspace: Workspace, name: str, commit: str, title: str) -> int:
    mirror = provision.mirror(workspace, workspace.url, workspace.settings["project"])
    token = workspace.token(OPERATOR)
    mirror.fetch(token)
    mirror.take(workspace.settings.clone, commit)
    mirror.push(commit, name, token)
    text = "Merges a release of the factory. It changes the judge, so a person must approve it."
    request = merge_requests.open_once(
        workspace.connection(), source=name, target=MAIN, title=title, description=text, labels=[]
    )
    return request.iid
