"""A project's avatar (docs: Projects API, upload and download a project avatar)."""

import base64
from pathlib import PurePath

from factory.local_gitlab.serving import call as api
from factory.local_gitlab.serving.call import Call, Route, Upload
from factory.local_gitlab.serving.context import Context
from factory.local_gitlab.serving.store import Document

_KIND = "avatar"
_LARGEST = 200 * 1024
_TYPES = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".gif": "image/gif",
    ".bmp": "image/bmp",
    ".tiff": "image/tiff",
    ".ico": "image/vnd.microsoft.icon",
    ".webp": "image/webp",
}


def url(context: Context, project: Document) -> str | None:
    """Return the address of a project's avatar as GitLab forms it, or ``None`` without one."""
    name = project.get("_avatar")
    return f"{context.base_url}/uploads/-/system/project/avatar/{project['id']}/{name}" if name else None


def given(call: Call) -> Document:
    """Return a project's change for the request's avatar; raises 400 if it is no image or too large."""
    upload = call.params.get("avatar")
    if upload in (None, ""):
        return {"_avatar": None} if upload == "" else {}
    if not isinstance(upload, Upload):
        raise api.bad_request("avatar is invalid", key="error")
    if PurePath(upload.name).suffix.lower() not in _TYPES:
        formats = ", ".join(dict.fromkeys(_TYPES.values()))
        reason = f"file format is not supported. Please try one of the following supported formats: {formats}"
        raise api.invalid({"avatar": [reason]})
    if len(upload.content) > _LARGEST:
        raise api.invalid({"avatar": [f"is too big (should be at most {_LARGEST // 1024} KiB)"]})
    return {"_avatar": upload.name}


def keep(call: Call, project: Document) -> None:
    """Store the image of a request, whose name ``given`` has checked."""
    upload = call.params.get("avatar")
    if not isinstance(upload, Upload):
        return
    body = {"_content": base64.b64encode(upload.content).decode()}
    found = call.store.find(_KIND, _KIND, project=project["id"])
    if found:
        call.store.save(_KIND, found | body)
    else:
        call.store.add(_KIND, body, project=project["id"], name=_KIND)


def _show(call: Call) -> api.Answer:
    name = call.project.get("_avatar")
    found = call.store.find(_KIND, _KIND, project=call.project["id"])
    if not name or found is None:
        raise api.not_found("Avatar")
    kind = _TYPES[PurePath(name).suffix.lower()]
    return api.Answer(base64.b64decode(found["_content"]), headers={"Content-Type": kind})


ROUTES = (Route("GET", "/projects/{id}/avatar", _show),)
