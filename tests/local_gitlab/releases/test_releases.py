"""Releases and their links, by the API and from a job."""

import json
from typing import Any

import gitlab
import pytest
import requests

from factory.system import clock
from tests.servers import LocalGitlab, git, wait_for, with_token

FIELDS = {
    "tag_name", "name", "description", "created_at", "released_at", "upcoming_release", "author", "commit",
    "milestones", "commit_path", "tag_path", "assets", "evidences", "_links",
}  # fmt: skip


@pytest.fixture
def project(gitlab_server: LocalGitlab) -> Any:
    return gitlab_server.project({"a.txt": "1\n"})


def _member(server: LocalGitlab, project: Any, level: int) -> Any:
    """Return a new member's view of the project."""
    user, token = server.user("member")
    project.members.create({"user_id": user.id, "access_level": level})
    return server.client(token).projects.get(project.id)


def _refusal(status: int, call: Any, *arguments: Any, **more: Any) -> str:
    with pytest.raises(gitlab.GitlabError) as refused:
        call(*arguments, **more)
    assert refused.value.response_code == status
    return str(refused.value.error_message)


def _raw(server: LocalGitlab, method: str, project: Any, path: str, **options: Any) -> requests.Response:
    url = f"{server.url}/api/v4/projects/{project.id}/releases{path}"
    headers = {"PRIVATE-TOKEN": server.root_token}
    return requests.request(method, url, headers=headers, timeout=30, allow_redirects=False, **options)


def test_a_release_creates_its_tag(gitlab_server: LocalGitlab, project: Any) -> None:
    view = _member(gitlab_server, project, 30)
    made = view.releases.create({"tag_name": "rel/1.0", "ref": "main", "tag_message": "One", "description": "# Notes"})
    tag = project.tags.get("rel/1.0")
    assert set(made.attributes) - {"project_id"} == FIELDS
    assert (made.name, made.description, made.upcoming_release) == ("rel/1.0", "# Notes", False)
    assert made.created_at == made.released_at
    assert made.commit["id"] == tag.commit["id"]
    assert tag.message == "One"
    assert tag.release == {"tag_name": "rel/1.0", "description": "# Notes"}
    assert made.author["id"] == view.members.list(get_all=True)[-1].id
    folder = f"/{project.path_with_namespace}/-"
    assert made.tag_path == f"{folder}/tags/rel/1.0"
    assert made.commit_path == f"{folder}/commit/{tag.commit['id']}"
    assert made.attributes["_links"]["self"] == f"{gitlab_server.url}{folder}/releases/rel%2F1.0"
    assert made.assets["count"] == 4
    assert made.assets["sources"][0] == {
        "format": "zip",
        "url": f"{gitlab_server.url}{folder}/archive/rel/1.0/{project.path}-rel-1.0.zip",
    }


def test_a_release_of_an_existing_tag_ignores_the_ref(project: Any) -> None:
    first = project.tags.create({"tag_name": "v1", "ref": "main"}).commit["id"]
    action = {"action": "create", "file_path": "b", "content": "b"}
    project.commits.create({"branch": "main", "commit_message": "more", "actions": [action]})
    assert project.releases.create({"tag_name": "v1", "ref": "main", "name": "One"}).commit["id"] == first


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (409, {"tag_name": "v1", "ref": "main"}, "Release already exists"),
        (422, {"tag_name": "v2"}, "Ref is not specified"),
        (400, {"tag_name": "v2", "ref": "nowhere"}, "Target nowhere is invalid"),
        (400, {"tag_name": "a b", "ref": "main"}, "Tag name invalid"),
        (400, {"ref": "main"}, "tag_name is missing"),
        (400, {"tag_name": "v2", "ref": "main", "released_at": "soon"}, "released_at is invalid"),
        (400, {"tag_name": "v2", "ref": "main", "milestones": ["a", "b"]}, "Milestone(s) not found: a, b"),
        (400, {"tag_name": "v2", "ref": "main", "assets": ["a"]}, "assets is invalid"),
        (
            400,
            {"tag_name": "v2", "ref": "main", "assets": {"links": [{"name": "a"}]}},
            "assets[links][0][url] is missing",
        ),
    ],
)
def test_an_invalid_release_is_refused(project: Any, status: int, body: dict[str, Any], reason: str) -> None:
    project.releases.create({"tag_name": "v1", "ref": "main"})
    call = project.manager.gitlab.http_post
    assert _refusal(status, call, f"/projects/{project.id}/releases", post_data=body) == reason
    assert [tag.name for tag in project.tags.list(get_all=True)] == ["v1"]


def test_the_list_and_the_latest_by_the_time_of_release(gitlab_server: LocalGitlab, project: Any) -> None:
    assert _raw(gitlab_server, "GET", project, "/permalink/latest").status_code == 404
    times = {"b": "2020-01-01T00:00:00+02:00", "a/1": "2019-12-31T23:00:00Z", "c": "2019-12-31T22:30:00"}
    for name, moment in times.items():
        project.releases.create({"tag_name": name, "ref": "main", "released_at": moment})

    def names(**query: str) -> list[str]:
        return [item.tag_name for item in project.releases.list(get_all=True, **query)]

    assert names() == ["a/1", "c", "b"]
    assert names(sort="asc") == ["b", "c", "a/1"]
    assert names(order_by="created_at") == ["c", "a/1", "b"]
    answer = _raw(gitlab_server, "GET", project, "/permalink/latest?order_by=released_at&x=1")
    assert answer.status_code == 302
    assert answer.headers["Location"] == f"/api/v4/projects/{project.id}/releases/a%2F1?x=1"
    latest: Any = project.manager.gitlab.http_get(f"/projects/{project.id}/releases/permalink/latest")
    assert (latest["tag_name"], latest["released_at"]) == ("a/1", "2019-12-31T23:00:00.000Z")


def test_an_upcoming_release_and_a_change(project: Any) -> None:
    later = clock.iso(clock.after(3600))
    release = project.releases.create({"tag_name": "v1", "ref": "main", "name": "One", "released_at": later})
    assert (release.upcoming_release, release.released_at) == (True, later)
    release.name, release.description = "Two", "Notes"
    release.save()
    found = project.releases.get("v1")
    assert (found.name, found.description, found.released_at) == ("Two", "Notes", later)
    project.releases.update("v1", {"released_at": "2020-01-01", "name": ""})
    found = project.releases.get("v1")
    assert (found.name, found.description, found.upcoming_release) == ("v1", "Notes", False)
    assert _refusal(400, project.releases.update, "v1", {}) == "params is empty"


def test_deleting_a_tag_deletes_its_release_but_not_the_reverse(
    gitlab_server: LocalGitlab, project: Any, tmp_path: Any
) -> None:
    for name in ("v1", "v2", "v3"):
        project.releases.create({"tag_name": name, "ref": "main", "description": name})
    project.releases.delete("v1")
    assert project.tags.get("v1").release is None
    assert _refusal(404, project.releases.get, "v1") == "404 Not Found"
    project.tags.delete("v2")
    _refusal(404, project.releases.get, "v2")
    url = with_token(project.http_url_to_repo, gitlab_server.root_token)
    git("clone", "-q", url, "work", cwd=tmp_path)
    git("push", "-q", "origin", ":v3", cwd=tmp_path / "work")
    assert project.releases.get("v3").description == "v3"
    assert _refusal(404, project.releases.update, "v3", {"name": "x"}) == "Tag does not exist"


def test_a_missing_release_is_forbidden_to_change(project: Any) -> None:
    for call in (lambda: project.releases.update("v1", {"name": "x"}), lambda: project.releases.delete("v1")):
        assert "403" in _refusal(403, call)


def test_a_protected_tag_keeps_its_release(gitlab_server: LocalGitlab, project: Any) -> None:
    view = _member(gitlab_server, project, 30)
    project.protectedtags.create({"name": "v*", "create_access_level": 40})
    refused = _refusal(403, view.releases.create, {"tag_name": "v1", "ref": "main"})
    assert refused == "You are not allowed to create this tag as it is protected."
    project.releases.create({"tag_name": "v1", "ref": "main"})
    seen = view.releases.get("v1")
    _refusal(403, view.releases.update, "v1", {"name": "x"})
    _refusal(403, view.releases.delete, "v1")
    _refusal(403, seen.links.create, {"name": "a", "url": "http://localhost"})
    assert view.releases.create({"tag_name": "other", "ref": "main"}).tag_name == "other"


def test_a_guest_only_reads(gitlab_server: LocalGitlab, project: Any) -> None:
    view = _member(gitlab_server, project, 10)
    project.releases.create({"tag_name": "v1", "ref": "main"})
    assert "edit_url" not in view.releases.get("v1").attributes["_links"]
    _refusal(403, view.releases.create, {"tag_name": "v2", "ref": "main"})
    _refusal(403, view.releases.delete, "v1")


def test_links(gitlab_server: LocalGitlab, project: Any) -> None:
    given = [
        {"name": "a", "url": "http://localhost/a"},
        {"name": "b", "url": "http://localhost/b", "link_type": "image"},
    ]
    release = project.releases.create({"tag_name": "rel/1", "ref": "main", "assets": {"links": given}})
    assert release.assets["count"] == 6
    assert [(link["name"], link["link_type"]) for link in release.assets["links"]] == [("b", "image"), ("a", "other")]
    made = release.links.create({"name": "c", "url": "https://localhost/c", "direct_asset_path": "/bin/c"})
    direct = f"{gitlab_server.url}/{project.path_with_namespace}/-/releases/rel%2F1/downloads/bin/c"
    assert (made.direct_asset_url, made.url) == (direct, "https://localhost/c")
    made.url, made.link_type = "https://localhost/d", "package"
    made.save()
    found = release.links.get(made.id)
    assert (found.name, found.url, found.link_type) == ("c", "https://localhost/d", "package")
    assert found.direct_asset_url == direct
    answer = _raw(gitlab_server, "DELETE", project, f"/rel%2F1/assets/links/{made.id}")
    assert (answer.status_code, answer.json()["name"]) == (200, "c")
    assert [link.name for link in release.links.list(get_all=True)] == ["b", "a"]
    _refusal(404, release.links.get, made.id)
    other = project.releases.create({"tag_name": "v2", "ref": "main"})
    _refusal(404, other.links.get, release.links.list(get_all=True)[0].id)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"name": "a"}, "url is missing"),
        ({"name": "a", "url": "http://localhost/b"}, "['Name has already been taken']"),
        ({"name": "b", "url": "http://localhost/a"}, "['Url has already been taken']"),
        ({"name": "b", "url": "http://x", "filepath": "/a"}, "['Filepath has already been taken']"),
        ({"name": "b", "url": "http://x", "filepath": "a"}, "['Filepath is in an invalid format']"),
        ({"name": "b", "url": "http://x", "filepath": "/" + "a" * 128}, "['Filepath is in an invalid format']"),
        ({"name": "b", "url": "javascript:x"}, "['Url is blocked: Only allowed schemes are http, https, ftp']"),
        ({"name": "b", "url": "http://x", "link_type": "odd"}, "link_type does not have a valid value"),
    ],
)
def test_an_invalid_link_is_refused(project: Any, body: dict[str, str], reason: str) -> None:
    link = {"name": "a", "url": "http://localhost/a", "direct_asset_path": "/a"}
    project.releases.create({"tag_name": "v1", "ref": "main", "assets": {"links": [link]}})
    path = f"/projects/{project.id}/releases/v1/assets/links"
    assert _refusal(400, project.manager.gitlab.http_post, path, post_data=body) == reason


# Calls with a job token: the method, the path below the project, the body, the expected status.
JOB_CALLS = [
    ("POST", "/releases", '{"tag_name": "v1", "ref": "main"}', 201),
    ("POST", "/releases/v1/assets/links", '{"name": "a", "url": "http://localhost"}', 201),
    ("PUT", "/releases/v1", '{"name": "One"}', 200),
    ("GET", "/releases/v1", "", 200),
    ("GET", "/repository/tags", "", 200),
    ("POST", "/repository/tags", '{"tag_name": "v2", "ref": "main"}', 404),
    ("DELETE", "/repository/tags/v1", "", 404),
    ("POST", "/repository/branches", '{"branch": "b", "ref": "main"}', 404),
    # The project is named "releases"; its name must not affect the check of the path.
    ("GET", "/issues", "", 404),
    ("POST", "/protected_tags", '{"name": "v*"}', 404),
]
JOB = """
import json, os, urllib.error, urllib.parse, urllib.request
project = os.environ["CI_API_V4_URL"] + "/projects/" + urllib.parse.quote(os.environ["CI_PROJECT_PATH"], safe="")
for method, path, body, _ in json.load(open("calls.json")):
    headers = {"JOB-TOKEN": os.environ["CI_JOB_TOKEN"], "Content-Type": "application/json"}
    try:
        request = urllib.request.Request(project + path, body.encode() or None, headers, method=method)
        answer = urllib.request.urlopen(request)
        print("answered", method, path, answer.status)
    except urllib.error.HTTPError as error:
        print("answered", method, path, error.code)
"""


def test_a_job_token_can_release_but_not_do_more(gitlab_server: LocalGitlab) -> None:
    project = gitlab_server.project(
        {
            "calls.json": json.dumps(JOB_CALLS),
            "call.py": JOB,
            ".gitlab-ci.yml": "call:\n  variables: {SANDBOX_NETWORK: host}\n  script: [python call.py]\n",
        },
        path="releases",
    )
    job = wait_for(lambda: [job for job in project.jobs.list(get_all=True) if job.finished_at])[0]
    trace = project.jobs.get(job.id).trace().decode()
    lines = [line for line in trace.splitlines() if line.startswith("answered")]
    assert lines == [f"answered {method} {path} {status}" for method, path, _, status in JOB_CALLS], trace
    release = project.releases.get("v1")
    assert (release.name, release.author["username"], release.assets["count"]) == ("One", "root", 5)
