"""Adds an existing repository to the factory as an app: its files, a draft spec and its `app.yml`."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import partial

from factory.apps.detection.detect import Detected, detect
from factory.errors import Conflict, InvalidInput
from factory.gitlab import merge_requests
from factory.gitlab.connect import Connection
from factory.model.gitlab import MAIN, MergeRequest
from factory.operations.repository import app_source
from factory.policies import apps
from factory.policies.apps import App
from factory.reports.markdown import count
from factory.specs.new import render
from factory.specs.read import path_of
from factory.terraform.stacks import LIVE
from factory.worktrees.import_files import ImportedCommit
from factory.worktrees.repository import Author, Mirror

_NO_ROOTS = "this repository has no infrastructure yet, which `factory infra add DOMAIN` adds"


@dataclass(frozen=True)
class AppProposal:
    """A merge request that adds an app: its name, hostnames, left-out files, and why it will not be deployed, if so.

    ``detected`` is what its files say of how it is built and run.
    """

    name: str
    request: MergeRequest
    hostnames: Mapping[str, str]
    left_out: tuple[str, ...]
    waits: str
    detected: Detected


def existing(mirror: Mirror, commit: str) -> dict[str, App]:
    """Return the apps in a commit, by name."""
    return apps.read(_app_files(mirror, commit))


def _app_files(mirror: Mirror, commit: str) -> dict[str, bytes]:
    found = [path for path in mirror.paths(commit) if apps.PATH.fullmatch(path)]
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
    """Push one commit with the app and open its merge request as the person; ``hostnames`` are by environment.

    Raises ``Conflict`` if the app, its spec or a branch of its name with other content exists, and ``InvalidInput`` for
    an invalid name or hostname.
    """
    main = mirror.head(MAIN) or ""
    existing_paths = mirror.paths(main)
    folder, spec = f"apps/{name}", path_of(name)
    _refuse_existing(existing_paths, folder, spec)
    content = partial(mirror.read, brought.copy)
    detected = detect(brought.paths, content)
    drafted = b"" if apps.FILE in brought.paths else app_source.drafted(name, brought.paths, content, detected)
    unclear = "" if drafted else app_source.unclear(name, brought.paths, content)
    rooted = any(path.startswith(f"{LIVE}/") for path in existing_paths)
    deployed = not unclear and (rooted or bool(hostnames))
    files = _app_files(mirror, main)
    own_file = content(apps.FILE) if apps.FILE in brought.paths else b""
    own = bool(own_file) and (bool(unclear) or bool(_placed(name, own_file)))
    places = {**apps.beside(apps.read(files), name), **hostnames}
    added = {spec: _spec(name, brought, author).encode()}
    if deployed and not own:
        added[f"{folder}/{apps.FILE}"] = _checked_app_file(files, name, places, own_file or drafted)
    elif drafted:
        added[f"{folder}/{apps.FILE}"] = drafted
    # Leave out the pipeline definitions of the old repository: this project does not use them.
    left_out = tuple(sorted(path for path in brought.paths if path.split("/")[0] in {".gitlab-ci.yml", ".github"}))
    removed = {f"{folder}/{path}": None for path in left_out}
    waits = "" if deployed else unclear or _NO_ROOTS
    commit = mirror.commit(
        {**removed, **added},
        parent=main,
        trees={folder: brought.tree},
        merged=brought.copy if brought.copy == brought.commit else None,
        message=f"Bring {name} under the factory\n\nSpec: {name}\nImported-From: {brought.source}@{brought.commit}\n",
        author=author,
    )
    branch = f"app/{name}"
    mirror.push_content(commit, branch, token)
    request = merge_requests.open_once(
        person,
        source=branch,
        target=MAIN,
        title=f"Bring {name} under the factory",
        description=_text(name, brought, places, waits=waits, own=own, left_out=left_out, found=detected),
        labels=[],
    )
    return AppProposal(name, request, places if deployed and not own else {}, left_out, waits, detected)


def _refuse_existing(known: Collection[str], *paths: str) -> None:
    """Raise ``Conflict`` if a path is a file or a folder of the repository."""
    for path in paths:
        if any(one == path or one.startswith(f"{path}/") for one in known):
            raise Conflict(f"{path} already exists", hint="Choose another name with --name.")


def _placed(name: str, own_file: bytes) -> bool:
    """Return whether an app's own file names environments; raises ``InvalidInput``."""
    path = f"apps/{name}/{apps.FILE}"
    return bool(apps.read({path: own_file})[name].environments)


def _checked_app_file(files: Mapping[str, bytes], name: str, places: Mapping[str, str], own: bytes) -> bytes:
    """Return the new app's file; raises ``InvalidInput`` if it conflicts with the other apps or has no hostname."""
    if not places:
        raise InvalidInput(
            "the app needs a hostname", hint="Pass one, for example --hostname production=www.example.com."
        )
    made = app_file(places, own)
    apps.read({**files, f"apps/{name}/{apps.FILE}": made})
    return made


def app_file(hostnames: Mapping[str, str], own: bytes = b"") -> bytes:
    """Return the `app.yml` of a new app with these hostnames by environment; ``own`` is the one that it brings."""
    return apps.render(hostnames, own).encode()


def _spec(name: str, brought: ImportedCommit, author: Author) -> str:
    contract = f"`apps/{name}/openapi.yml`" if "openapi.yml" in brought.paths else ""
    return render(
        spec=name, title=name, owner=author.name, structure=f"The code is in `apps/{name}`.", contract=contract
    )


def _text(
    name: str,
    brought: ImportedCommit,
    places: Mapping[str, str],
    *,
    waits: str,
    own: bool,
    left_out: tuple[str, ...],
    found: Detected,
) -> str:
    lines = [
        f"`apps/{name}` is `{brought.source}` at `{brought.commit[:12]}`: {count(len(brought.paths), 'file')}.",
        "",
        "Before you merge:",
        "",
        f"- `{path_of(name)}` is a draft: fill in its TODOs and set its status to `decided`. Agents will not start",
        "  until you do.",
    ]
    lines.append("- The gates require that the app's tests run the changed lines. To accept a gap for now, add an")
    lines.append("  exception with an owner and an expiry date to policies/exceptions.yml.")
    if waits:
        lines.append(f"- The app is judged but not deployed: {waits}.")
    elif own:
        lines.append(f"- The app is deployed as its `apps/{name}/{apps.FILE}` says.")
    else:
        shown = ", ".join(f"{key}: `{value}`" for key, value in places.items())
        lines.append(f"- The app will have the hostnames {shown}. To verify a deployment, the pipeline requests its")
        lines.append("  health path, `/`; it must answer 200. See `factory app show` for how the app is built and run.")
    if left_out:
        lines.append(
            f"- Left out, because this project has its own pipeline: {', '.join(f'`{path}`' for path in left_out)}."
        )
    lines.append("- Agents may change the paths below `apps/` that policies/scope.yml allows and does not protect.")
    if said := found.lines():
        lines += ["", "What its files say of how it is built and run:", "", "```text", *said, "```"]
    return "\n".join(lines)
