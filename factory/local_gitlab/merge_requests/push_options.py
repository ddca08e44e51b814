"""Merge requests that push options open or change (docs: Push options)."""

from dataclasses import replace

from aiohttp import web

from factory.local_gitlab.merge_requests import merge_requests
from factory.local_gitlab.refs.push_events import ZERO, Accepted
from factory.local_gitlab.serving.call import Call
from factory.system import log

_PREFIX, _BRANCH = "merge_request.", "refs/heads/"


def apply(call: Call, push: Accepted) -> None:
    """Open a merge request for each pushed branch if the options ask for it, or change the open one.

    ``call`` is by the pushing user. What GitLab's rules refuse is logged: the push itself has succeeded.
    """
    given = [option.removeprefix(_PREFIX).partition("=") for option in push.options if option.startswith(_PREFIX)]
    if not given:
        return
    values = {name: value for name, _, value in given}
    labels = [value for name, _, value in given if name == "label"]
    for ref, sha in push.refs.items():
        if ref.startswith(_BRANCH) and sha != ZERO:
            try:
                _apply(call, ref.removeprefix(_BRANCH), sha, values, labels)
            except web.HTTPException as error:
                log.event("a push option was refused", ref=ref, reason=str(error.text))


def _apply(call: Call, branch: str, sha: str, values: dict[str, str], labels: list[str]) -> None:
    params: dict[str, object] = {name: values[name] for name in ("title", "description") if name in values}
    if "draft" in values:
        params["title"] = f"Draft: {params.get('title') or _subject(call, sha)}"
    if "remove_source_branch" in values:
        params["remove_source_branch"] = True
    target = values.get("target") or call.project["default_branch"]
    for request in call.store.all(
        "merge_request", project=call.project["id"], state="opened", source_branch=branch, target_branch=target
    ):
        path = {"iid": str(request["iid"])}
        merge_requests.change(replace(call, path=path, params=params | {"add_labels": labels}))
        return
    if "create" in values:
        made = {"title": _subject(call, sha), "source_branch": branch, "target_branch": target, "labels": labels}
        merge_requests.create(replace(call, params=made | params))


def _subject(call: Call, sha: str) -> str:
    return call.context.repository(call.project).git("log", "-1", "--format=%s", sha)
