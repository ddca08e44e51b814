"""Brings an existing repository under the factory as an app: its files, a spec to fill in, what it asks for."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from factory.errors import Conflict, InvalidInput
from factory.gitlab import merge_requests
from factory.gitlab.connect import Connection
from factory.model.gitlab import MAIN, MergeRequest
from factory.policies import apps
from factory.policies.apps import App
from factory.specs.new import render
from factory.specs.read import path_of
from factory.worktrees.bring import ImportedCommit
from factory.worktrees.repository import Author, Mirror

# What the pipeline builds: a Python zip archive from this folder (docs: zipapp).
ENTRY = "src/__main__.py"
_APP_FILE = re.compile(rf"apps/[^/]+/{re.escape(apps.FILE)}")
HEALTH, RATE = "/version", 300


@dataclass(frozen=True)
class AppProposal:
    """A merge request that adds an app: its name, where it will be reached, and what is still open."""

    name: str
    request: MergeRequest
    hostnames: Mapping[str, str]
    left_out: tuple[str, ...]
    deployed: bool


def existing(mirror: Mirror, commit: str) -> dict[str, App]:
    """Return the apps of a commit, by name."""
    return apps.read(_app_files(mirror, commit))


def _app_files(mirror: Mirror, commit: str) -> dict[str, bytes]:
    found = [path for path in mirror.paths(commit) if _APP_FILE.fullmatch(path)]
    return {path: mirror.read(commit, path) for path in found}


def propose(
    mirror: Mirror,
    person: Connection,
    token: str,
    brought: ImportedCommit,
    *,
    name: str,
    hostnames: Mapping[str, str],
    author: Author,
) -> AppProposal:
    """Push one commit with the app and open its merge request, as the person; ``hostnames`` are by environment.

    Raises ``Conflict`` where the app, its spec or a branch of its name with something else is there, ``InvalidInput``
    for a name or hostname that can't be.
    """
    main = mirror.head(MAIN) or ""
    there = mirror.paths(main)
    folder, spec = f"apps/{name}", path_of(name)
    for path in (folder, spec):
        if any(known == path or known.startswith(f"{path}/") for known in there):
            raise Conflict(f"{path} is already there", hint="Choose another name with --name.")
    deployed = ENTRY in brought.paths
    files = _app_files(mirror, main)
    own = apps.FILE in brought.paths
    places = {**apps.beside(apps.read(files), name), **hostnames}
    added = {spec: _spec(name, brought, author).encode()}
    if deployed and not own:
        added[f"{folder}/{apps.FILE}"] = _app_file(files, name, places)
    # What another pipeline or forge reads is of no use here, and would only mislead.
    left_out = tuple(sorted(path for path in brought.paths if path.split("/")[0] in {".gitlab-ci.yml", ".github"}))
    removed = {f"{folder}/{path}": None for path in left_out}
    commit = mirror.commit(
        {**removed, **added},
        parent=main,
        trees={folder: brought.tree},
        message=f"Bring {name} under the factory\n\nSpec: {name}\nImported-From: {brought.source}@{brought.commit}\n",
        author=author,
    )
    branch = f"app/{name}"
    pushed = mirror.head(branch)
    # An earlier call got as far as the push: the same content, by another second.
    if pushed and mirror.tree_of(pushed) == mirror.tree_of(commit):
        commit = pushed
    mirror.push(commit, branch, token)
    request = merge_requests.open_once(
        person,
        source=branch,
        target=MAIN,
        title=f"Bring {name} under the factory",
        description=_text(name, brought, places, deployed=deployed, own=own, left_out=left_out),
        labels=[],
    )
    return AppProposal(name, request, places if deployed and not own else {}, left_out, deployed)


def _app_file(files: Mapping[str, bytes], name: str, places: Mapping[str, str]) -> bytes:
    """Return the new app's file; raises ``InvalidInput`` where it can't stand beside those of the other apps."""
    if not places:
        raise InvalidInput(
            "no other app says where an app is reached", hint="Give --hostname production=www.example.com."
        )
    made = apps.render(places, health=HEALTH, requests_per_minute=RATE).encode()
    apps.read({**files, f"apps/{name}/{apps.FILE}": made})
    return made


def _spec(name: str, brought: ImportedCommit, author: Author) -> str:
    contract = f"`apps/{name}/openapi.yml`" if "openapi.yml" in brought.paths else ""
    return render(spec=name, title=name, owner=author.name, structure=f"It lives in `apps/{name}`.", contract=contract)


def _text(
    name: str,
    brought: ImportedCommit,
    places: Mapping[str, str],
    *,
    deployed: bool,
    own: bool,
    left_out: tuple[str, ...],
) -> str:
    lines = [
        f"`apps/{name}` is `{brought.source}` at `{brought.commit[:12]}`: {len(brought.paths)} files.",
        "",
        "Before it is merged:",
        "",
        f"- `{path_of(name)}` is a draft: what stands as TODO there is yours to say. Agents work on it once it is",
        "  decided.",
    ]
    lines.append(
        "- Its tests are asked to run what they are here for; what they leave out for now is an exception, with an"
    )
    lines.append("  owner and an end, in policies/exceptions.yml.")
    if not deployed:
        lines.append(f"- It is judged and not deployed: the pipeline builds `apps/{name}/{ENTRY}`, which is not there.")
    elif own:
        lines.append(f"- It is deployed as its own `apps/{name}/{apps.FILE}` says.")
    else:
        shown = ", ".join(f"{key}: `{value}`" for key, value in places.items())
        lines.append(f"- It will be reached at {shown}, and is asked at `{HEALTH}` for JSON whose")
        lines.append("  `release` is the environment variable RELEASE: that is how a deployment is verified.")
    if left_out:
        lines.append(f"- Left out, for the pipeline here is another: {', '.join(f'`{path}`' for path in left_out)}.")
    lines.append(
        "- Agents may change what policies/scope.yml allows below `apps/`, and nothing that it protects there."
    )
    return "\n".join(lines)
