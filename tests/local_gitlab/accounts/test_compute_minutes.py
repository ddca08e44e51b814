"""Compute minutes of namespaces: who sees and sets them, and which jobs they count."""

from pathlib import Path

import gitlab
import pytest

from factory.local_gitlab.accounts import compute_minutes
from factory.local_gitlab.serving.store import Store
from factory.system import clock
from tests.servers import LocalGitlab


def test_owners_see_them_and_administrators_set_the_limit(gitlab_server: LocalGitlab) -> None:
    person, token = gitlab_server.user("spender")
    seen = gitlab_server.client(token).namespaces.get(person.username)
    assert (seen.shared_runners_minutes_limit, seen.extra_shared_runners_minutes_limit) == (None, None)
    assert seen.ci_minutes_usage == {"total_minutes_used": 0, "monthly_minutes_used": 0, "purchased_minutes_used": 0}
    path, body = f"/namespaces/{person.username}", {"shared_runners_minutes_limit": 400}
    with pytest.raises(gitlab.GitlabHttpError) as refused:
        gitlab_server.client(token).http_put(path, post_data=body)
    assert refused.value.response_code == 403
    gitlab_server.client().http_put(path, post_data=body)
    assert gitlab_server.client(token).namespaces.get(person.username).shared_runners_minutes_limit == 400
    with pytest.raises(gitlab.GitlabHttpError):
        gitlab_server.client().http_put(path, post_data={"shared_runners_minutes_limit": "many"})


def test_a_stranger_sees_none(gitlab_server: LocalGitlab) -> None:
    owner, token = gitlab_server.user("owner")
    group = gitlab_server.client(token).groups.create({"name": "Crew", "path": f"crew-{owner.username}"})
    member, other = gitlab_server.user("member")
    group.members.create({"user_id": member.id, "access_level": 40})
    assert not hasattr(gitlab_server.client(other).namespaces.get(group.id), "ci_minutes_usage")


def test_jobs_of_instance_runners_count_in_the_top_level_group(tmp_path: Path) -> None:
    store = Store(tmp_path / "gitlab.sqlite")
    top = store.add("namespace", {"full_path": "top", "_shared_runners_minutes_limit": 2}, name="top")
    project = store.add("project", {"_namespace": "top/below"})
    other = store.add("project", {"_namespace": "topmost"})
    kinds = ("instance_type", "project_type")
    runners = {kind: store.add("runner", {"runner_type": kind}, name=kind)["id"] for kind in kinds}
    month = clock.timestamp()
    for kind, seconds, ended, of in (
        ("instance_type", 100, month, project),
        ("instance_type", 85, month, project),
        ("instance_type", 600, "2020-01-31T00:00:00.000Z", project),
        ("project_type", 600, month, project),
        ("instance_type", 600, month, other),
    ):
        job = {"finished_at": ended, "duration": seconds, "runner": {"id": runners[kind]}}
        store.add("job", job, project=of["id"])
    used = compute_minutes.shown(store, top)["ci_minutes_usage"]
    assert used == {"total_minutes_used": 3, "monthly_minutes_used": 2, "purchased_minutes_used": 1}
