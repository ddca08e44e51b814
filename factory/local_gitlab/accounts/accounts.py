"""Users, personal and project access tokens, and the authentication of requests."""

import hashlib
import secrets
from datetime import UTC, date, datetime
from functools import partial
from typing import Any

from aiohttp import BasicAuth, web

from factory.local_gitlab.accounts import membership
from factory.local_gitlab.serving import call as api
from factory.local_gitlab.serving import lists
from factory.local_gitlab.serving.call import ADMIN, MAINTAINER, OWNER, PUBLIC, Call, Page, Route
from factory.local_gitlab.serving.context import Context
from factory.local_gitlab.serving.store import Document, Store
from factory.system import clock

JOB_SCOPE = "job"
_GHOST = "ghost"
# docs: Personal access token scopes; Access levels, of members and of project access tokens.
_TOKEN_SCOPES = frozenset(
    (
        *("api", "read_api", "read_user", "read_repository", "write_repository", "read_registry", "write_registry"),
        *("read_virtual_registry", "write_virtual_registry", "sudo", "admin_mode", "create_runner", "manage_runner"),
        *("ai_features", "k8s_proxy", "self_rotate", "read_service_ping"),
    )
)
LEVELS = frozenset({5, 10, 15, 20, 30, 40, 50})


def fingerprint(token: str) -> str:
    """Return the hash under which a token is stored."""
    return hashlib.sha256(token.encode()).hexdigest()


def issue_token(store: Store, user: Document, name: str, *, project: int = 0, **fields: Any) -> tuple[Document, str]:
    """Create a token for a user; return its document and its text, which is not stored."""
    text = f"glpat-local-{secrets.token_urlsafe(20)}"
    document = {
        "name": name,
        "user_id": user["id"],
        "scopes": ["api"],
        "created_at": clock.timestamp(),
        "expires_at": None,
        "revoked": False,
        "active": True,
        "access_level": None,
        "_project": project,
        **fields,
    }
    return store.add("token", document, name=fingerprint(text)), text


def create_user(
    store: Store, username: str, *, name: str, email: str, admin: bool = False, bot: bool = False
) -> Document:
    """Add a user; return it."""
    document = {
        "username": username,
        "name": name,
        "state": "active",
        "locked": False,
        "avatar_url": None,
        "email": email,
        "is_admin": admin,
        "bot": bot,
        "created_at": clock.timestamp(),
    }
    return store.add("user", document, name=username)


def ensure_ghost(store: Store) -> Document:
    """Return the user that takes the place of deleted users (docs: Ghost user)."""
    return store.find("user", _GHOST) or create_user(store, _GHOST, name="Ghost User", email="ghost@localhost")


def token_of(request: web.Request) -> str | None:
    """Return a request's token from any header or parameter that GitLab accepts."""
    for header in ("PRIVATE-TOKEN", "JOB-TOKEN"):
        if request.headers.get(header):
            return request.headers[header]
    authorization = request.headers.get("Authorization", "")
    if authorization.lower().startswith("bearer "):
        return authorization[7:].strip()
    if authorization.lower().startswith("basic "):
        try:
            return str(BasicAuth.decode(authorization).password)
        except ValueError:
            return None
    return request.query.get("private_token") or request.query.get("job_token")


def authenticate(store: Store, text: str | None) -> tuple[Document, Document] | None:
    """Return the token's document and user, or ``None`` if the token is invalid or its user is not active."""
    if not text:
        return None
    token = store.find("token", fingerprint(text))
    if token is None or token["revoked"]:
        return None
    if token["expires_at"] and datetime.fromisoformat(token["expires_at"]).replace(tzinfo=UTC) <= clock.now():
        return None
    user = store.get("user", token["user_id"])
    return None if user is None or user["state"] != "active" else (token, user)


def role_in(store: Store, project: Document, user: Document, token: Document) -> int:
    """Return a token's access level in a project; 0 means no access."""
    if token["_project"] and token["_project"] != project["id"] and not _admits(project, token):
        return api.NO_ROLE
    level = level_in(store, project, user)
    return min(level, token["access_level"]) if token["access_level"] and level != ADMIN else level


def level_in(store: Store, project: Document, user: Document) -> int:
    """Return a user's access level in a project; 0 means no access."""
    return ADMIN if user["is_admin"] else membership.level(store, project, user["id"])


def job_token_scope(project: Document) -> Document:
    """Return a project's job token scope: with ``inbound``, only its own jobs and its ``allowlist`` have access."""
    return {"inbound": True, "allowlist": [], **project.get("_job_token", {})}


def _admits(project: Document, token: Document) -> bool:
    """Return whether a project's job token scope admits another project's job token."""
    scope = job_token_scope(project)
    return bool(token.get("_job")) and (not scope["inbound"] or token["_project"] in scope["allowlist"])


def brief(context: Context, user: Document | None) -> Document | None:
    """Return a user as it appears inside other objects."""
    if user is None:
        return None
    keys = ("id", "username", "name", "state", "locked", "avatar_url")
    return {key: user[key] for key in keys} | {"web_url": f"{context.base_url}/{user['username']}"}


def by_id(context: Context, number: int | None) -> Document | None:
    """Return a user by id as it appears inside other objects; the ghost user if it was deleted."""
    store = context.store
    return None if number is None else brief(context, store.get("user", number) or store.find("user", _GHOST))


def _show(call: Call, user: Document) -> Document:
    return api.public(user, "iid") | {"web_url": f"{call.context.base_url}/{user['username']}"}


def _current(call: Call) -> Any:
    return _show(call, call.user)


def _list(call: Call) -> Any:
    username, search = call.params.get("username"), str(call.params.get("search") or "").lower()
    states = [state for state in ("active", "blocked") if call.flag(state)]
    users = lists.ordered(
        call,
        [
            user
            for user in lists.within(call, call.store.all("user"), ("created",))
            if str(username or user["username"]).lower() == user["username"].lower()
            and (search in f"{user['username']} {user['name']}".lower() or search == user["email"].lower())
            and (not states or user["state"] in states)
            and (not call.flag("admins") or user["is_admin"])
        ],
        keys=("id", "name", "username", "created_at"),
    )
    return Page(users, partial(_show, call) if call.user["is_admin"] else partial(brief, call.context))


def _show_one(call: Call) -> Any:
    user = api.require(call.store.get("user", call.iid("user_id")), "User")
    return _show(call, user) if call.user["is_admin"] else brief(call.context, user)


def _create(call: Call) -> Any:
    api.need_admin(call)
    username = str(call.need("username"))
    if call.store.find("user", username):
        raise api.conflict("Username has already been taken")
    user = create_user(
        call.store,
        username,
        name=str(call.params.get("name") or username),
        email=str(call.params.get("email") or f"{username}@localhost"),
        admin=call.flag("admin"),
    )
    return api.Answer(_show(call, user), 201)


def expiry(call: Call) -> str | None:
    """Return the requested expiry date, or ``None``; raises 400 for text that is no date, and for a past date."""
    text = call.params.get("expires_at")
    if not text:
        return None
    try:
        day = date.fromisoformat(str(text)[:10])
    except ValueError:
        raise api.bad_request("expires_at is invalid", key="error") from None
    if day.isoformat() < clock.timestamp()[:10]:
        raise api.invalid({"expires_at": ["cannot be a date in the past"]})
    return day.isoformat()


def scopes(call: Call) -> list[str]:
    """Return the requested scopes of a token (docs: Personal access token scopes); raises 400 for any other."""
    found = call.strings("scopes") or ["api"]
    if not set(found) <= _TOKEN_SCOPES:
        raise api.bad_request("scopes does not have a valid value", key="error")
    return found


def _create_token_for(call: Call) -> Any:
    api.need_admin(call)
    user = api.require(call.store.get("user", call.iid("user_id")), "User")
    name, expires = str(call.need("name")), expiry(call)
    token, text = issue_token(call.store, user, name, expires_at=expires, scopes=scopes(call))
    return api.Answer(api.public(token, "iid") | {"token": text}, 201)


def _own_token(call: Call) -> Any:
    return api.public(call.token, "iid")


def _revoke(call: Call) -> Any:
    token = api.require(call.store.get("token", call.iid("token_id")), "Token")
    if token["user_id"] != call.user["id"]:
        api.need_admin(call)
    call.store.save("token", token | {"revoked": True, "active": False})


def _project_tokens(call: Call) -> Any:
    return Page(
        [api.public(token, "iid") for token in call.store.all("token") if token["_project"] == call.project["id"]]
    )


def _create_project_token(call: Call) -> Any:
    level = call.integer("access_level") if "access_level" in call.params else MAINTAINER
    name, expires, granted = str(call.need("name")), expiry(call), scopes(call)
    if level not in LEVELS:
        raise api.bad_request("access_level does not have a valid value", key="error")
    if level >= OWNER > call.role:
        raise api.failed(400, "Could not provision owner access to project access token")
    suffix = secrets.token_hex(4)
    bot = create_user(
        call.store, f"project_{call.project['id']}_bot_{suffix}", name=name, email=f"bot-{suffix}@localhost", bot=True
    )
    membership.add(call.store, call.project, bot, level)
    token, text = issue_token(
        call.store,
        bot,
        name,
        project=call.project["id"],
        access_level=level,
        expires_at=expires,
        scopes=granted,
    )
    return api.Answer(api.public(token, "iid") | {"token": text}, 201)


ROUTES = (
    Route("GET", "/user", _current, PUBLIC),
    Route("GET", "/users", _list, PUBLIC),
    Route("POST", "/users", _create, PUBLIC),
    Route("GET", "/users/{user_id}", _show_one, PUBLIC),
    Route("POST", "/users/{user_id}/personal_access_tokens", _create_token_for, PUBLIC),
    Route("GET", "/personal_access_tokens/self", _own_token, PUBLIC),
    Route("DELETE", "/personal_access_tokens/{token_id}", _revoke, PUBLIC),
    Route("GET", "/projects/{id}/access_tokens", _project_tokens, MAINTAINER),
    Route("POST", "/projects/{id}/access_tokens", _create_project_token, MAINTAINER),
)
