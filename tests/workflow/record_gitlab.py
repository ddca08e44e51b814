"""Records what GitLab answers at each boundary of a demo, for the tests of the workflows: run it by hand.

`python -m tests.workflow.record_gitlab` writes one file for each boundary to tests/workflow/recorded: the answers by
path, below the project. Commits, digests and the server's address are replaced by names, such as @HEAD@.
"""

import json
import os
import signal
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import requests

from factory.policies import read
from factory.specs import read as specs
from factory.system import canonical
from tests.instances import Instance, founded
from tests.servers import ROOT, git

FOLDER = Path(__file__).with_name("recorded")
# Boundary of the demo, by the name of its file.
STATES = {
    "claimed": "claim:after",
    "review": "present:after",
    "approved": "merge:before",
    "planned": "apply:before",
    "deployed": "close:before",
    "closed": "close:after",
}
_ONE = {"issues": "iid", "merge_requests": "iid", "pipelines": "id", "deployments": "id"}
_PARTS = {
    "issues": ("notes",),
    "merge_requests": ("notes", "approvals", "versions", "pipelines", "diffs"),
    "pipelines": ("jobs", "variables"),
}
_FILES = {
    "gate": (".factory/verdict/verdict.json",),
    "plan": (".factory/plan/index.json",),
    "apply-staging": (".factory/plan/staging/apply.json",),
    "apply-production": (".factory/plan/production/apply.json",),
    "verify-staging": (".factory/deploy/deploy.json",),
    "verify-production": (".factory/deploy/deploy.json",),
}
# The pipelines of the founding deployment and of the first attempt, whose files nobody reads.
_OLDER = 2
_STACK_FILES = ("manifest.json", "plan.json")


def main() -> None:
    """Record the states of one demo, which is killed at each boundary and goes on."""
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="factory-record-") as folder:
        os.environ["FACTORY_TEST_SHARED"] = folder
        made = founded(Path(folder) / "copy", name="demo")
        try:
            for name, point in STATES.items():
                killed = made.run("demo", "--yes", "--keep", check=False, FACTORY_KILL_AT=point)
                if killed.returncode != -signal.SIGKILL:
                    raise SystemExit(killed.stderr)
                answers = _answers(made)
                lines = [f"{json.dumps(path)}: {json.dumps(answers[path])}" for path in sorted(answers)]
                text = "{\n" + ",\n".join(lines) + "\n}\n"
                for value, short in _names(made, answers).items():
                    text = text.replace(value, short)
                (FOLDER / f"{name}.json").write_text(text)
        finally:
            made.run("--instance", "demo", "down")


class _Server:
    def __init__(self, made: Instance) -> None:
        state = made.folder("demo")
        port = json.loads((state / "instance.json").read_text())["ports"]["gitlab"]
        self.url = f"http://127.0.0.1:{port}"
        self.session = requests.Session()
        self.session.headers["PRIVATE-TOKEN"] = (state / "tokens/factory-bot").read_text().strip()

    def get(self, path: str) -> requests.Response:
        found = self.session.get(f"{self.url}/api/v4/projects/factory%2Fcontrol/{path}", params={"per_page": 100})
        found.raise_for_status()
        return found


def _answers(made: Instance) -> Mapping[str, Any]:
    server = _Server(made)
    found: dict[str, Any] = {path: server.get(path).json() for path in ("members/all", "repository/tags", "releases")}
    for kind, key in _ONE.items():
        found[kind] = server.get(kind).json()
        for item in server.get(kind).json():
            path = f"{kind}/{item[key]}"
            found[path] = server.get(path).json()
            for part in _PARTS.get(kind, ()):
                found[f"{path}/{part}"] = server.get(f"{path}/{part}").json()
            for job in found[f"{path}/jobs"] if kind == "pipelines" and item[key] > _OLDER else ():
                found |= _files(server, job)
    return found


def _files(server: _Server, job: Mapping[str, object]) -> Mapping[str, object]:
    base = f"jobs/{job['id']}/artifacts"
    wanted = list(_FILES.get(str(job["name"]), ()))
    found: dict[str, object] = {}
    for path in wanted:
        answer = server.session.get(f"{server.url}/api/v4/projects/factory%2Fcontrol/{base}/{path}")
        if answer.ok:
            found[f"{base}/{path}"] = answer.json()
            if path.endswith("index.json"):
                for stack in answer.json()["stacks"]:
                    for name in _STACK_FILES:
                        part = f".factory/plan/{stack}/{name}"
                        found[f"{base}/{part}"] = server.get(f"{base}/{part}").json()
    return found


def _names(made: Instance, answers: Mapping[str, Any]) -> Mapping[str, str]:
    """Return the values that a test's own repository replaces, by value."""
    origin = made.folder("demo") / "gitlab/repositories/1.git"
    refs = git("for-each-ref", "--format=%(refname:short) %(objectname)", "refs/heads", cwd=origin).stdout
    heads = dict(line.split() for line in refs.splitlines())
    session = json.loads(git("show", "factory/leases/1:lease.json", cwd=origin).stdout)["session"]
    merged = heads["main"] if "Factory-Session" in git("log", "-1", "main", cwd=origin).stdout else ""
    head = heads.get(f"factory/1-{session}", merged)
    judges = [value["judge_sha"] for path, value in answers.items() if path.endswith("/verdict.json")]
    base = judges[0] if judges else heads["main"]
    policies = read.read({f"policies/{path.name}": path.read_bytes() for path in (ROOT / "policies").glob("*.yml")})
    spec = specs.read((ROOT / "specs/hello.md").read_bytes(), source="hello")
    manifests = {path: value for path, value in answers.items() if path.endswith("/manifest.json")}
    return {
        **{canonical.digest_of(value): f"@{path}@" for path, value in manifests.items()},
        **({head: "@HEAD@", head[:8]: "@HEAD8@"} if head else {}),
        base: "@BASE@",
        session: "@SESSION@",
        policies.digest: "@POLICY@",
        spec.digest: "@SPEC@",
        _Server(made).url: "http://gitlab.test",
    }


if __name__ == "__main__":
    main()
