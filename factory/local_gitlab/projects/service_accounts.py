"""Service accounts of top-level groups and their tokens, for the group's owners (docs: Service accounts API)."""

import secrets

from factory.local_gitlab.accounts import accounts, namespaces
from factory.local_gitlab.projects import removal
from factory.local_gitlab.serving import call as api
from factory.local_gitlab.serving.call import PUBLIC, Call, Page, Route
from factory.local_gitlab.serving.store import Document

_BASE = "/groups/{reference}/service_accounts"
_TOKENS = _BASE + "/{user_id}/personal_access_tokens"


def _group(call: Call) -> Document:
    found = namespaces.owned_group(call)
    if found["parent_id"] is not None:
        raise api.unsupported("a service account of a subgroup")
    return found


def _show(user: Document) -> Document:
    return {key: user[key] for key in ("id", "username", "name", "email")}


def _list(call: Call) -> api.Answer | Page:
    return Page([_show(user) for user in call.store.all("user", _service_of=_group(call)["id"])])


def _create(call: Call) -> api.Answer | Page:
    group = _group(call)
    username = call.text("username") or f"service_account_group_{group['id']}_{secrets.token_hex(16)}"
    if not namespaces.is_path(username):
        raise api.failed(400, "Username can contain only letters, digits, '_', '-', '.'")
    if call.store.find("user", username) or call.store.find("namespace", username):
        raise api.failed(400, "Username has already been taken")
    name = call.text("name") or "Service account user"
    user = accounts.create_user(call.store, username, name=name, email=f"{username}@localhost")
    return api.Answer(_show(call.store.save("user", user | {"_service_of": group["id"]})), 201)


def _account(call: Call) -> Document:
    """Return the call's service account; raises 404 if it is not one of the group."""
    group, user = _group(call), call.store.get("user", call.iid("user_id"))
    if user is None or user.get("_service_of") != group["id"]:
        raise api.not_found("User")
    return user


def _delete(call: Call) -> None:
    removal.remove_user(call, _account(call))


def _list_tokens(call: Call) -> api.Answer | Page:
    return Page([_show_token(token) for token in call.store.all("token", user_id=_account(call)["id"])])


def _create_token(call: Call) -> api.Answer | Page:
    user, name = _account(call), str(call.need("name"))
    call.need("scopes")
    expires, scopes = accounts.expiry(call), accounts.scopes(call)
    token, text = accounts.issue_token(call.store, user, name, expires_at=expires, scopes=scopes)
    return api.Answer(_show_token(token) | {"token": text}, 201)


def _revoke_token(call: Call) -> None:
    user, token = _account(call), call.store.get("token", call.iid("token_id"))
    if token is None or token["user_id"] != user["id"]:
        raise api.not_found("Personal Access Token")
    call.store.save("token", token | {"revoked": True, "active": False})


def _show_token(token: Document) -> Document:
    return api.public(token, "iid", "access_level")


ROUTES = (
    Route("GET", _BASE, _list, PUBLIC),
    Route("POST", _BASE, _create, PUBLIC),
    Route("DELETE", _BASE + "/{user_id}", _delete, PUBLIC),
    Route("GET", _TOKENS, _list_tokens, PUBLIC),
    Route("POST", _TOKENS, _create_token, PUBLIC),
    Route("DELETE", _TOKENS + "/{token_id}", _revoke_token, PUBLIC),
)
