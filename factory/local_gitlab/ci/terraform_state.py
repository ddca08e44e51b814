"""Terraform's HTTP backend: state with versions and locks (docs: GitLab-managed Terraform state).

Reading requires the Developer role, writing and locking the Maintainer role.
"""

import json
from typing import Any

from factory.local_gitlab.serving import call as api
from factory.local_gitlab.serving.call import DEVELOPER, MAINTAINER, Answer, Call, Route
from factory.local_gitlab.serving.store import Document
from factory.system import clock, loopback

_LOCK_FIELDS = ("ID", "Operation", "Info", "Who", "Version", "Created", "Path")


def _state(call: Call) -> Document | None:
    return call.store.find("terraform_state", call.path["name"], project=call.project["id"])


def _ensure(call: Call) -> Document:
    found = _state(call)
    if found is not None:
        return found
    document = {"name": call.path["name"], "lock": None, "created_at": clock.timestamp()}
    return call.store.add("terraform_state", document, project=call.project["id"], name=call.path["name"])


def _holder(state: Document) -> str | None:
    """Return the lock ID that a write or unlock must send; ``None`` if the state is not locked."""
    return state["lock"]["ID"] if state["lock"] else None


def _versions(call: Call, state: Document) -> list[Document]:
    return call.store.all("terraform_version", project=call.project["id"], state_id=state["id"])


def _read(call: Call) -> Any:
    versions = _versions(call, api.require(_state(call)))
    if not versions:
        return Answer(None, 204)
    # GitLab orders versions by serial: who restores an older state writes it with a lower serial last.
    newest = max(versions, key=lambda version: int(version["serial"]))
    return Answer(newest["body"].encode(), headers={"Content-Type": "application/json"})


def _write(call: Call) -> Any:
    state = _ensure(call)
    if _holder(state) != call.params.get("ID"):
        raise api.conflict("The lock is not this one")
    if not call.body:
        return Answer(None, 204)
    try:
        serial = int(json.loads(call.body)["serial"])
    except (ValueError, KeyError, TypeError):
        raise api.unprocessable("the state has no serial") from None
    if any(version["serial"] == serial for version in _versions(call, state)):
        raise api.unprocessable("Version has already been taken")
    document = {
        "state_id": state["id"],
        "serial": serial,
        "body": call.body.decode(),
        "created_at": clock.timestamp(),
        "_user": call.user["id"],
    }
    call.store.add("terraform_version", document, project=call.project["id"], name=f"{state['id']}/{serial}")
    return Answer(None, 200)


def _delete(call: Call) -> Any:
    state = api.require(_state(call))
    for version in _versions(call, state):
        call.store.delete("terraform_version", version)
    call.store.delete("terraform_state", state)
    return Answer(None, 200)


def _lock(call: Call) -> Any:
    for key in _LOCK_FIELDS:
        if key not in call.params:
            raise api.bad_request(f"{key} is missing", key="error")
    lock = {key: call.params[key] for key in _LOCK_FIELDS}
    state = _ensure(call)
    if state["lock"]:
        return Answer(api.public(state["lock"]), 409)
    call.store.save("terraform_state", state | {"lock": lock | {"_user": call.user["id"]}})
    return Answer(lock, 200)


def _unlock(call: Call) -> Any:
    state = api.require(_state(call))
    lock_id = call.params.get("ID")
    if lock_id is not None and _holder(state) != lock_id:
        return Answer(api.public(state["lock"] or {}), 409)
    call.store.save("terraform_state", state | {"lock": None})
    return Answer(None, 200)


def _show_version(call: Call) -> Any:
    state = api.require(_state(call))
    for version in _versions(call, state):
        if str(version["serial"]) == call.path["serial"]:
            return Answer(version["body"].encode(), headers={"Content-Type": "application/json"})
    raise api.not_found()


_STATE = "/projects/{id}/terraform/state/{name}"

ROUTES = (
    Route("GET", _STATE, _read, DEVELOPER),
    Route("POST", _STATE, _write, MAINTAINER, loopback.LARGE),
    Route("DELETE", _STATE, _delete, MAINTAINER),
    Route("POST", _STATE + "/lock", _lock, MAINTAINER),
    Route("DELETE", _STATE + "/lock", _unlock, MAINTAINER),
    Route("GET", _STATE + "/versions/{serial}", _show_version, DEVELOPER),
)
