"""Files of a repository: content, changes and deletion (docs: Repository files API)."""

import base64
from hashlib import sha256

from factory.local_gitlab.repository import commit_writes
from factory.local_gitlab.serving import call as api
from factory.local_gitlab.serving.call import DEVELOPER, Call, Route
from factory.local_gitlab.serving.store import Document
from factory.system import loopback

_BLAMED = (
    "id",
    "parent_ids",
    "message",
    "authored_date",
    "author_name",
    "author_email",
    "committed_date",
    "committer_name",
    "committer_email",
)


def _found(call: Call) -> tuple[Document, bytes]:
    """Return a file's fields without its content, and its content; raises 404 if it does not exist."""
    repository, path = call.context.repository(call.project), call.path["path"]
    ref = str(call.params.get("ref") or "HEAD")
    sha = repository.resolve(call.project["default_branch"] if ref == "HEAD" else ref)
    if sha is None:
        raise api.not_found("Commit")
    content = repository.read(sha, path)
    if content is None:
        raise api.not_found("File")
    return {
        "file_name": path.rsplit("/", 1)[-1],
        "file_path": path,
        "size": len(content),
        "encoding": "base64",
        "ref": ref,
        "commit_id": sha,
        "blob_id": repository.git("rev-parse", f"{sha}:{path}"),
        "last_commit_id": commit_writes.last_commit(repository, sha, path),
        "content_sha256": sha256(content).hexdigest(),
        "execute_filemode": repository.git("ls-tree", sha, "--", path).startswith("100755"),
    }, content


def _headers(fields: Document) -> dict[str, str]:
    """Return a file's fields as headers, such as ``X-Gitlab-File-Path``."""
    values = {key: str(value).lower() if isinstance(value, bool) else str(value) for key, value in fields.items()}
    return {f"X-Gitlab-{key.replace('_', '-').title()}": value for key, value in values.items()}


def _show(call: Call) -> api.Answer:
    fields, content = _found(call)
    return api.Answer(fields | {"content": base64.b64encode(content).decode()}, headers=_headers(fields))


def _raw(call: Call) -> api.Answer:
    fields, content = _found(call)
    return api.Answer(content, headers=_headers(fields))


def _blame(call: Call) -> api.Answer:
    """Return the lines of a file in ranges, each with the commit that last changed it."""
    call.need("ref")
    fields, _ = _found(call)
    if call.params.get("range"):
        raise api.unsupported("range")
    repository = call.context.repository(call.project)
    found: list[Document] = []
    for sha, line in repository.blame(fields["commit_id"], call.path["path"]):
        if not found or found[-1]["commit"]["id"] != sha:
            commit = repository.one(sha)
            found.append({"commit": {key: commit[key] for key in _BLAMED}, "lines": []})
        found[-1]["lines"].append(line)
    return api.Answer(found, headers=_headers(fields))


def _write(call: Call, kind: str) -> Document:
    """Commit one file; return the answer to its creation or change."""
    if kind != "delete" and call.params.get("content") is None:
        raise api.bad_request("content is missing", key="error")
    path = call.path["path"]
    values = {key: call.params.get(key) for key in ("content", "encoding", "last_commit_id")}
    commit_writes.write(call, [values | {"action": kind, "file_path": path}])
    return {"file_path": path, "branch": call.params["branch"]}


def _create(call: Call) -> api.Answer:
    return api.Answer(_write(call, "create"), 201)


def _change(call: Call) -> Document:
    return _write(call, "update")


def _delete(call: Call) -> None:
    _write(call, "delete")


_FILE = "/projects/{id}/repository/files/{path:.+}"

ROUTES = (
    Route("GET", _FILE + "/raw", _raw),
    Route("GET", _FILE + "/blame", _blame),
    Route("GET", _FILE, _show),
    Route("POST", _FILE, _create, DEVELOPER, loopback.LARGE),
    Route("PUT", _FILE, _change, DEVELOPER, loopback.LARGE),
    Route("DELETE", _FILE, _delete, DEVELOPER),
)
