"""Generic packages: files with a package name, version and file name (docs: Generic packages; Packages API)."""

import hashlib
import re
from typing import Any

from factory.local_gitlab.serving import call as api
from factory.local_gitlab.serving.call import DEVELOPER, MAINTAINER, Call, Page, Route
from factory.local_gitlab.serving.context import Context
from factory.local_gitlab.serving.store import Document
from factory.system import clock, files, loopback

_KIND, _FILE = "package", "package_file"
# Stricter than GitLab: names must start with a letter or digit, so that shells and paths treat them as plain names.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,254}")


def _folder(context: Context, package: Document) -> Any:
    return context.state / "packages" / str(package["id"])


def _of(call: Call) -> list[Document]:
    return call.store.all(_KIND, project=call.project["id"])


def _named(call: Call) -> tuple[str, str, str]:
    parts = call.path["package_name"], call.path["package_version"], call.path["file_name"]
    for key, value in zip(("package_name", "package_version", "file_name"), parts, strict=True):
        if not _NAME.fullmatch(value):
            raise api.bad_request(f"{key} is invalid", key="error")
    return parts


def _put(call: Call) -> Any:
    """Store a file; downloads return the newest file of a name, because GitLab allows duplicates by default."""
    name, version, file_name = _named(call)
    package = next((item for item in _of(call) if (item["name"], item["version"]) == (name, version)), None)
    if package is None:
        fresh = {"name": name, "version": version, "package_type": "generic", "status": "default"}
        fresh["created_at"] = clock.timestamp()
        package = call.store.add(_KIND, fresh, project=call.project["id"])
    document = {
        "package_id": package["id"],
        "created_at": clock.timestamp(),
        "file_name": file_name,
        "size": len(call.body),
        "file_md5": None,
        "file_sha1": None,
        "file_sha256": hashlib.sha256(call.body).hexdigest(),
    }
    file = call.store.add(_FILE, document, project=call.project["id"])
    files.write_atomic(_folder(call.context, package) / str(file["id"]), call.body)
    if call.params.get("select") == "package_file":
        return api.Answer(api.public(file, "iid") | {"file": {"url": _url(call, package, file)}}, 201)
    return api.Answer({"message": "201 Created"}, 201)


def _url(call: Call, package: Document, file: Document) -> str:
    path = f"/projects/{call.project['id']}/packages/generic/{package['name']}/{package['version']}/{file['file_name']}"
    return call.context.api_url() + path


def _get(call: Call) -> Any:
    name, version, file_name = _named(call)
    for package in _of(call):
        if (package["name"], package["version"]) == (name, version):
            for file in reversed(_files(call, package)):
                if file["file_name"] == file_name:
                    return api.Answer(files.read_bytes(_folder(call.context, package) / str(file["id"])))
    raise api.not_found()


def _files(call: Call, package: Document) -> list[Document]:
    return call.store.all(_FILE, project=call.project["id"], package_id=package["id"])


def _show(call: Call, package: Document) -> Document:
    path = f"/{call.project['path_with_namespace']}/-/packages/{package['id']}"
    return api.public(package, "iid") | {"tags": [], "_links": {"web_path": path}}


def _list(call: Call) -> Any:
    kind, name = call.params.get("package_type"), call.params.get("package_name")
    found = [item for item in _of(call) if kind in (None, item["package_type"]) and str(name or "") in item["name"]]
    return Page([_show(call, item) for item in found])


def _find(call: Call) -> Document:
    return api.require(next((item for item in _of(call) if item["id"] == call.iid("package_id")), None))


def _one(call: Call) -> Any:
    return _show(call, _find(call))


def _delete(call: Call) -> Any:
    package = _find(call)
    for file in _files(call, package):
        call.store.delete(_FILE, file)
    call.store.delete(_KIND, package)
    files.remove_tree(_folder(call.context, package))


def _list_files(call: Call) -> Any:
    return Page([api.public(file, "iid") for file in _files(call, _find(call))])


_GENERIC = "/projects/{id}/packages/generic/{package_name}/{package_version}/{file_name}"
_ALL = "/projects/{id}/packages"

ROUTES = (
    Route("PUT", _GENERIC, _put, DEVELOPER, loopback.LARGE),
    Route("GET", _GENERIC, _get),
    Route("GET", _ALL, _list),
    Route("GET", _ALL + "/{package_id}", _one),
    Route("DELETE", _ALL + "/{package_id}", _delete, MAINTAINER),
    Route("GET", _ALL + "/{package_id}/package_files", _list_files),
)
