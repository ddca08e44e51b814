"""A repository without the factory ships: its pipeline runs on the loopback GitLab, its Terraform on Cloudflare's."""

import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from factory.local_cloudflare.provider import mirror
from tests.local_cloudflare.double import ACCOUNT, Double
from tests.servers import PATIENCE, ROOT, LocalGitlab, git, wait_for, with_token


def ejected(folder: Path) -> Path:
    """Return a clone of this repository on its branch without the factory."""
    git("clone", "-q", "--no-local", str(ROOT), "clone", cwd=folder)
    clone = folder / "clone"
    git("config", "user.name", "Jane", cwd=clone)
    git("config", "user.email", "jane@example.com", cwd=clone)
    done = subprocess.run(
        [sys.executable, "-P", "-m", "factory", "eject"],
        cwd=clone,
        env={"PATH": os.environ["PATH"], "HOME": str(folder), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "nothing is pushed" in done.stdout
    return clone


def own_server(cloudflare: Double) -> HTTPServer:
    """Return a running server of the person's own, which takes archives and runs them in both environments.

    It has one thread, because a release ends with the thread that started it.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            archive = self.rfile.read(int(self.headers["Content-Length"]))
            for environment in ("staging", "production"):
                cloudflare.take(self.path.strip("/"), archive, environment=environment)
            self.send_response(201)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


@pytest.mark.long
def test_what_remains_builds_and_deploys(gitlab_server: LocalGitlab, tmp_path: Path) -> None:
    clone = ejected(tmp_path)
    assert not list(clone.glob("factory/*.py"))
    assert "factory" not in (clone / ".gitlab-ci.yml").read_text()
    project: Any = gitlab_server.project()
    cloudflare = Double(tmp_path / "cloudflare")
    taken = own_server(cloudflare)
    try:
        # The runner gives a network to the jobs of a protected branch that ask for it.
        project.protectedbranches.create({"name": "main", "push_access_level": 40, "merge_access_level": 40})
        for name, value in {
            "SANDBOX_NETWORK": "host",
            "CLOUDFLARE_API_TOKEN": "local-writer",
            "CLOUDFLARE_BASE_URL": cloudflare.api,
            "TF_CLI_CONFIG_FILE": str(mirror.write(tmp_path / "mirror", sys.executable)),
            "TF_VAR_account_id": ACCOUNT,
            "RELEASES_URL": f"http://127.0.0.1:{taken.server_port}",
        }.items():
            project.variables.create({"key": name, "value": value})
        git("push", "-q", with_token(project.http_url_to_repo, gitlab_server.root_token), "HEAD:main", cwd=clone)

        def stands() -> Any:
            found = project.pipelines.list(get_all=True)
            return found[0] if found and found[0].status in {"manual", "failed", "success"} else None

        run = wait_for(stands)
        assert run.status == "manual"
        jobs = {job.name: job for job in run.jobs.list(get_all=True)}
        project.jobs.get(jobs["apply-production"].id).play()
        wait_for(lambda: project.pipelines.get(run.id).status in {"success", "failed"})
        assert project.pipelines.get(run.id).status == "success"
        for hostname in ("www.hello-staging.test", "www.hello.test"):
            assert cloudflare.visit(hostname, "/version").json()["release"] == f"hello-{run.sha}"
    finally:
        taken.shutdown()
        taken.server_close()
        cloudflare.close()
