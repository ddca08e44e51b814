"""``factory app`` by the real command line, on a loopback GitLab: it adds an existing repository."""

import json
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.cli.test_refusals import assert_told, connect, url
from tests.instances import Instance, founded, make_instance
from tests.servers import ROOT, LocalGitlab, git, wait_for, with_token

FILES = {
    "src/__main__.py": "print('hi')\n",
    "README.md": "# Shop\n",
    ".gitlab-ci.yml": "job: {script: ['true']}\n",
    ".github/workflows/x.yml": "on: push\n",
    "openapi.yml": "openapi: 3.0.3\n",
}


class Here:
    """A clone with its main branch on the loopback GitLab, and that project."""

    def __init__(self, folder: Path, server: LocalGitlab) -> None:
        self.instance: Instance = make_instance(folder)
        self.project: Any = server.project()
        self.server = server
        url = with_token(f"{server.url}/{self.project.path_with_namespace}.git", server.root_token)
        git("push", "-q", url, "HEAD:refs/heads/main", cwd=self.instance.clone)
        self.env = {
            "FACTORY_GITLAB_URL": server.url,
            "FACTORY_PROJECT": self.project.path_with_namespace,
            "FACTORY_TOKEN_OPERATOR": server.root_token,
        }

    def json(self, *arguments: str) -> Any:
        return self.instance.json("app", *arguments, **self.env)

    def run(self, *arguments: str) -> Any:
        return self.instance.run("app", *arguments, check=False, **self.env)

    def text(self, made: Any, path: str) -> str:
        return str(self.project.files.get(path, ref=made["commit"]).decode().decode())


@pytest.fixture
def here(tmp_path: Path, gitlab_server: LocalGitlab) -> Here:
    return Here(tmp_path, gitlab_server)


def repository(folder: Path, files: dict[str, str]) -> Path:
    folder.mkdir()
    git("init", "-q", "-b", "main", cwd=folder)
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    git("add", "-A", cwd=folder)
    git("commit", "-qm", "start", cwd=folder)
    return folder


@pytest.mark.long
def test_a_repository_is_added_by_a_merge_request(here: Here, tmp_path: Path) -> None:
    source = repository(tmp_path / "Shop App", FILES)
    assert [app["name"] for app in here.json("list")] == ["hello"]
    made = here.json("add", str(source))
    assert (made["name"], made["deployed"]) == ("shop-app", True)
    assert made["left_out"] == [".github/workflows/x.yml", ".gitlab-ci.yml"]
    request = here.project.mergerequests.get(made["merge_request"])
    assert (request.state, request.source_branch, request.sha) == ("opened", "app/shop-app", made["commit"])
    changed = {item["new_path"] for item in request.changes()["changes"]}
    brought = {f"apps/shop-app/{name}" for name in ("src/__main__.py", "README.md", "openapi.yml", "app.yml")}
    assert changed == {*brought, "specs/shop-app.md"}
    assert "shop-app.hello.test" in here.text(made, "apps/shop-app/app.yml")
    assert "`apps/shop-app/openapi.yml`" in here.text(made, "specs/shop-app.md")
    assert "status: draft" in here.text(made, "specs/shop-app.md")
    assert f"Imported-From: Shop App@{made['source']}" in here.project.commits.get(made["commit"]).message
    request.state_event = "close"
    request.save()
    again = here.json("add", str(source))
    assert (again["commit"], again["merge_request"] > made["merge_request"]) == (made["commit"], True)
    here.project.mergerequests.get(again["merge_request"]).merge()
    assert [app["name"] for app in here.json("list")] == ["hello", "shop-app"]
    assert_told(here.run("add", str(source)), 7, "apps/shop-app already exists", "--name")


@pytest.mark.long
def test_what_the_pipeline_can_not_build_is_not_deployed(here: Here, tmp_path: Path) -> None:
    made = here.json("add", str(repository(tmp_path / "site", {"README.md": "x"})))
    assert (made["deployed"], made["hostnames"]) == (False, {})
    told = here.project.mergerequests.get(made["merge_request"]).description
    assert "judged but not deployed: the app's files don't say what `kind` is" in told


@pytest.mark.long
def test_what_a_dockerfile_says_is_written_into_the_app(here: Here, tmp_path: Path) -> None:
    dockerfile = (
        'FROM python:3.12\nEXPOSE 80\nHEALTHCHECK CMD curl http://localhost/up\nCMD ["python", "a.py", "-p", "80"]'
    )
    made = here.json("add", str(repository(tmp_path / "shop", {"a.py": "", "Dockerfile": dockerfile, ".nvmrc": ""})))
    assert made["deployed"] is True
    text = here.text(made, "apps/shop/app.yml")
    assert 'run: ["python", "a.py", "-p", "$PORT"]  # Dockerfile\nhealth: "/up"  # Dockerfile\nenvironments:\n' in text
    told = here.project.mergerequests.get(made["merge_request"]).description
    assert "found python: 3.12 (Dockerfile)" in told
    assert "skipped: .nvmrc: it names no version" in told


@pytest.mark.long
def test_from_a_url_with_name_branch_and_hostnames(here: Here) -> None:
    actions = [{"action": "create", "file_path": name, "content": text} for name, text in FILES.items()]
    other = here.server.project({"a": "1"}, visibility="private")
    other.commits.create({"branch": "next", "start_branch": "main", "commit_message": "x", "actions": actions})
    url = with_token(f"{here.server.url}/{other.path_with_namespace}.git", here.server.root_token)
    made = here.json("add", url, "--name", "shop", "--ref", "next", "--hostname", "production=shop.hello.test")
    assert made["hostnames"] == {"staging": "shop.hello-staging.test", "production": "shop.hello.test"}
    assert here.text(made, "apps/shop/a") == "1"
    told = here.project.commits.get(made["commit"]).message
    told += here.project.mergerequests.get(made["merge_request"]).description
    assert other.path_with_namespace in told
    assert here.server.root_token not in told


@pytest.mark.long
def test_what_is_refused(here: Here, tmp_path: Path) -> None:
    source = repository(tmp_path / "shop", FILES)
    assert_told(here.run("add", str(tmp_path / "none")), 4, "does not appear to be a git repository", "git ls-remote")
    assert_told(here.run("add", str(source), "--ref", "none"), 4, "none")
    assert_told(here.run("add", "--", "--upload-pack=true"), 3, "not a path or URL")
    assert_told(here.run("add", "ext::sh -c true", "--name", "x"), 3, "not a path or URL")
    assert_told(here.run("add", str(source), "--name", "../up"), 3, "is not a valid app name", "--name")
    assert_told(here.run("add", str(source), "--name", "hello"), 7, "apps/hello already exists")
    assert_told(here.run("add", str(source), "--hostname", "production"), 3, "is not like production=")
    assert_told(
        here.run("add", str(source), "--hostname", "production=www.hello.test"),
        3,
        "already belongs to hello in production",
    )
    assert_told(here.run("add", str(source), "--hostname", "production=a b"), 3, "hostname")
    action = {"action": "create", "file_path": "x", "content": "theirs"}
    here.project.commits.create(
        {"branch": "app/shop", "start_branch": "main", "commit_message": "theirs", "actions": [action]}
    )
    assert_told(here.run("add", str(source)), 7, "app/shop")
    here.project.branches.delete("app/shop")
    (source / "link").symlink_to("/etc/passwd")
    git("add", "link", cwd=source)
    git("commit", "-qm", "link", cwd=source)
    assert_told(here.run("add", str(source)), 3, "link is a symbolic link")
    assert [branch.name for branch in here.project.branches.list(get_all=True)] == ["main"]


@pytest.mark.matrix(4, group="flows")
@pytest.mark.long
@pytest.mark.slow
def test_it_is_judged_built_and_deployed_next_to_the_other(tmp_path: Path) -> None:
    instance = founded(tmp_path / "made")
    ours = ROOT / "apps/hello"
    files = {
        "src/__main__.py": (ours / "src/__main__.py").read_text().replace("from hello", "from shop"),
        "src/shop.py": (ours / "src/hello.py").read_text(),
        "tests/test_shop.py": (ours / "tests/test_hello.py").read_text().replace("from hello", "from shop"),
        "conftest.py": (ours / "conftest.py").read_text(),
        "openapi.yml": (ours / "openapi.yml").read_text(),
        "app.yml": "health: /version\n",
    }
    files["tests/test_shop.py"] = files["tests/test_shop.py"].replace("HELLO-", "SHOP-")
    spec = (ROOT / "specs/hello.md").read_text().replace("id: hello", "id: shop").replace("HELLO-", "SHOP-")
    shop = repository(tmp_path / "shop", files)
    git("commit", "-q", "--allow-empty", "-m", "wip: a subject that our gates would not take", cwd=shop)
    try:
        made = instance.json("app", "add", str(shop))
        project = connect(url(instance.folder()), "operator", instance.folder()).projects.get("factory/control")
        decided = [
            {"action": "update", "file_path": "specs/shop.md", "content": spec.replace("apps/hello", "apps/shop")}
        ]
        head = project.commits.create(
            {"branch": "app/shop", "commit_message": "Decide it\n\nSpec: shop", "actions": decided}
        ).id
        assert head != made["commit"]
        request = project.mergerequests
        # It is the operator's own: a person answers for it, and GitLab merges what its pipeline passed.
        request.get(made["merge_request"]).approve()
        wait_for(lambda: request.get(made["merge_request"]).detailed_merge_status == "mergeable")
        instance.run("work", "--once")
        instance.run("mr", "approve", str(made["merge_request"]))
        instance.run("work", "--once")
        earlier = git("rev-parse", "HEAD", cwd=shop).stdout.strip()
        assert made["commit"] in [item.id for item in project.commits.list(ref_name="main", get_all=True)]
        assert earlier in project.commits.get(made["commit"]).parent_ids
        runs = project.pipelines
        (run,) = runs.list(sha=head, ref="main", get_all=True)
        jobs = {job.name: job.status for job in runs.get(run.id).jobs.list(get_all=True)}
        assert jobs["verify-staging"] == "success"
        port = json.loads((instance.folder() / "instance.json").read_text())["ports"]["edge"]
        for name in ("www", "shop"):
            host = {"Host": f"{name}.hello-staging.test"}
            release = requests.get(f"http://127.0.0.1:{port}/version", headers=host, timeout=30).json()["release"]
            assert release == f"{'hello' if name == 'www' else name}-{head}"
    finally:
        instance.run("down", check=False)
