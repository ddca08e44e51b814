"""Avatars of projects, and files in requests that take none."""

import gitlab
import pytest
import requests

from tests.servers import LocalGitlab


def put(server: LocalGitlab, path: str, name: str, content: bytes, parameter: str = "avatar") -> requests.Response:
    files = {parameter: (name, content)}
    headers = {"PRIVATE-TOKEN": server.root_token}
    return requests.put(f"{server.url}/api/v4{path}", files=files, headers=headers, timeout=30)


def test_an_avatar_is_stored_shown_and_removed(gitlab_server: LocalGitlab) -> None:
    project, client = gitlab_server.project(), gitlab_server.client()
    path = f"/projects/{project.id}"
    assert client.projects.get(project.id).avatar_url is None
    for content in (b"one", b"two"):
        answer = put(gitlab_server, path, "face.png", content)
        expected = f"{gitlab_server.url}/uploads/-/system/project/avatar/{project.id}/face.png"
        assert answer.json()["avatar_url"] == expected
        image = client.http_get(f"{path}/avatar", raw=True)
        assert isinstance(image, requests.Response)
        assert (image.content, image.headers["Content-Type"]) == (content, "image/png")
    assert client.http_put(path, post_data={"avatar": ""})["avatar_url"] is None  # type: ignore[index]
    with pytest.raises(gitlab.GitlabHttpError, match="404 Avatar Not Found"):
        client.http_get(f"{path}/avatar", raw=True)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [("face.exe", b"1", "file format is not supported"), ("face.png", b"1" * 204801, "is too big")],
)
def test_what_is_no_small_image_is_refused(gitlab_server: LocalGitlab, name: str, content: bytes, reason: str) -> None:
    project = gitlab_server.project()
    answer = put(gitlab_server, f"/projects/{project.id}", name, content)
    assert answer.status_code == 400
    assert reason in answer.text


def test_other_files_are_refused(gitlab_server: LocalGitlab) -> None:
    project = gitlab_server.project()
    group = gitlab_server.client().groups.create({"name": "g", "path": f"avatars-{project.id}"})
    for path, parameter in ((f"/projects/{project.id}", "file"), (f"/groups/{group.id}", "avatar")):
        answer = put(gitlab_server, path, "face.png", b"1", parameter)
        assert answer.status_code == 400
        assert f"the file {parameter} is not supported by the loopback GitLab" in answer.text
