"""Pipelines whose jobs lease Cloudflare's tokens from OpenBao: no CI variable holds one."""

import json
import os
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.cli.test_refusals import connect, url
from tests.instances import Instance, founded
from tests.servers import wait_for

pytestmark = [pytest.mark.long, pytest.mark.matrix(4, group="flows")]
ENDED = {"success", "failed", "canceled", "skipped", "manual"}


def jobs_of(project: Any, pipeline: int, *names: str) -> dict[str, Any]:
    """Return the jobs of a pipeline once the named ones have ended."""

    def ended() -> Any:
        found = {job.name: job for job in project.pipelines.get(pipeline).jobs.list(get_all=True)}
        return found if {found[name].status for name in names if name in found} <= ENDED and found else None

    return dict(wait_for(ended))


def traces(project: Any, jobs: dict[str, Any]) -> str:
    return "\n".join(project.jobs.get(job.id).trace().decode() for job in jobs.values())


def leave_to_openbao(made: Instance, root: Any) -> list[str]:
    """Put the tokens into OpenBao, name it to the jobs, and take the variables away; return the tokens."""
    tokens = json.loads((made.folder() / "tokens/cloudflare.json").read_text())
    server = made.json("secrets", "init")
    assert server["id_tokens"] == "bound"
    made.run("secrets", "put", "cloudflare-plan-token", stdin=tokens["plan"])
    for name in ("staging", "production"):
        made.run("secrets", "put", "cloudflare-apply-token", "--environment", name, stdin=tokens["apply"])
    root.variables.create({"key": "FACTORY_OPENBAO_URL", "value": server["address"]})
    for name in ("PLAN", "APPLY"):
        root.variables.delete(f"CLOUDFLARE_{name}_TOKEN")
    return [tokens["plan"], tokens["apply"]]


def with_openbao(clone: Path) -> None:
    policy = clone / "policies/secrets.yml"
    policy.write_text(policy.read_text().replace("provider: file", "provider: openbao"))


@pytest.mark.slow
def test_jobs_lease_their_tokens(tmp_path: Path) -> None:
    made = founded(tmp_path, change=with_openbao)
    try:
        state = made.folder()
        with closing(connect(url(state), "root", state).session):
            root = connect(url(state), "root", state).projects.get("factory/control")
            tokens = leave_to_openbao(made, root)
            main = root.pipelines.create({"ref": "main"})
            root.jobs.get(jobs_of(root, main.id, "plan")["apply-staging"].id).play()
            jobs = jobs_of(root, main.id, "plan", "verify-staging")
            told = traces(root, jobs)
            assert [jobs[name].status for name in ("plan", "apply-staging", "verify-staging")] == ["success"] * 3, told
            action = {"action": "update", "file_path": "terraform/live/staging/outputs.tf", "content": "# none\n"}
            root.commits.create(
                {"branch": "work", "start_branch": "main", "commit_message": "less", "actions": [action]}
            )
            request = root.mergerequests.create({"source_branch": "work", "target_branch": "main", "title": "less"})
            proposed = wait_for(lambda: request.pipelines.list(get_all=True))[0]
            reviewed = jobs_of(root, proposed.id, "plan")
            more = traces(root, {"plan": reviewed["plan"]})
            assert reviewed["plan"].status == "success", more
            assert not [token for token in tokens if token in told + more]
        audited = (state / "secrets/openbao").rglob("audit*")
        log = "\n".join(path.read_text() for path in audited if path.is_file())
        assert "factory/data/review/cloudflare-plan-token" in log
        assert "factory/data/apply/staging/cloudflare-apply-token" in log
        assert "auth/token/revoke-self" in log
        assert not [token for token in tokens if token in log]
    finally:
        record = made.folder() / "secrets/openbao/server.json"
        if record.exists():
            os.kill(json.loads(record.read_text())["pid"], 15)
        made.run("down", check=False)
