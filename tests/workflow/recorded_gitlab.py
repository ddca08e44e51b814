"""A GitLab of recorded answers behind python-gitlab: a transport adapter at the HTTP door, and real git beside it.

The answers of ``record_gitlab`` are read with the commits and digests of the test's own repository in place of their
names. What is written is kept in ``sent`` and changes no answer: a test says which answers follow.
"""

import io
import json
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import requests
from requests.adapters import BaseAdapter

from factory.gitlab.connect import Connection, connect
from factory.model.issue import FrozenIssue
from factory.model.session import Session
from factory.policies import read
from factory.specs import read as specs
from factory.system import canonical, clock, files
from factory.workflow import recorder, ship
from factory.workflow.claim import lease
from factory.workflow.context import Accounts, Console, Context, Machine, Recorder
from factory.worktrees.repository import Mirror
from tests.evidence import examples
from tests.servers import ROOT, TOOL_ENV, git

URL, PROJECT, SESSION = "http://gitlab.test", "factory/control", "5e55104a"
_RECORDED = Path(__file__).with_name("recorded")
_PIPELINE = re.compile(r"pipelines/\d+")
_MERGED = ("planned", "deployed", "closed")
Answers = Mapping[str, Any]


@dataclass(frozen=True)
class Sent:
    """A request that changes something, with its path below the project."""

    method: str
    path: str
    body: Mapping[str, Any]


@dataclass(frozen=True)
class Failure:
    """An answer with an error's status."""

    status: int
    message: str = ""


class RecordedGitlab(BaseAdapter):
    """Answers python-gitlab's requests by path, and keeps those that change something.

    Of a query, what filters a list is looked at: state, labels, environment, and fields of its objects.
    """

    def __init__(self, answers: Answers) -> None:
        super().__init__()
        self.answers = dict(answers)
        self.sent: list[Sent] = []
        self.then: dict[str, Callable[[], object]] = {}

    def send(self, request: requests.PreparedRequest, **_: Any) -> requests.Response:  # type: ignore[override]
        """Answer one request; 404 where nothing was recorded."""
        url = urlsplit(request.url or "")
        path = unquote(url.path).partition(f"/projects/{PROJECT}")[2].lstrip("/")
        value = self.answers.get(path)
        if isinstance(value, list):
            value = [item for item in value if _fits(item, dict(parse_qsl(url.query)))]
        if request.method != "GET":
            sent = Sent(str(request.method), path, json.loads(request.body or b"{}"))
            self.sent.append(sent)
            self.then.get(f"{sent.method} {path}", lambda: None)()
            value = self.answers.get(f"{sent.method} {path}", {"id": 1})
        if value is None:
            value = Failure(HTTPStatus.NOT_FOUND, "404 Not found")
        answer = requests.Response()
        answer.status_code = value.status if isinstance(value, Failure) else HTTPStatus.OK
        answer.headers["Content-Type"] = "application/json"
        body = {"message": value.message} if isinstance(value, Failure) else value
        answer.raw = io.BytesIO(json.dumps(body).encode())
        answer.request, answer.url = request, str(request.url)
        return answer

    def close(self) -> None:
        """Keep nothing open."""

    def change(self, path: str, **fields: object) -> None:
        """Change fields of the recorded answer of one path."""
        self.answers[path] = {**self.answers[path], **fields}

    def end_pipelines(self, status: str) -> None:
        """End the pipelines that run."""
        running = [
            path for path, value in self.answers.items() if _PIPELINE.fullmatch(path) and value["status"] == "running"
        ]
        ended = {self.answers[path]["id"] for path in running}
        for path in running:
            self.change(path, status=status)
        for path in [path for path in self.answers if path.endswith("pipelines")]:
            self.answers[path] = [
                {**item, **({"status": status} if item["id"] in ended else {})} for item in self.answers[path]
            ]

    def notes(self, kind: str) -> list[str]:
        """Return the bodies of the notes that were written on ``issues`` or ``merge_requests``."""
        return [item.body["body"] for item in self.sent if item.path.startswith(kind) and "/notes" in item.path]

    def labels(self, kind: str) -> list[tuple[str, str]]:
        """Return what was added and removed of labels, in order."""
        return [
            (item.body["add_labels"], item.body["remove_labels"])
            for item in self.sent
            if item.path.startswith(kind) and "add_labels" in item.body
        ]


@dataclass(frozen=True)
class World:
    """One test's context, its GitLab, its session, its merge request's head, and how many statements were there."""

    context: Context
    gitlab: RecordedGitlab
    session: Session
    head: str
    names: Mapping[str, str]
    given: int = 0

    def follow(self, state: str) -> None:
        """Answer as GitLab did in another recorded state, and move main where the merge request is merged by then."""
        self.gitlab.answers = dict(_answers(state, self.names))
        if state in _MERGED:
            self.context.mirror.push(self.head, "main", "")

    def forget_evidence(self) -> None:
        """Let the evidence branch be gone, for a machine that has not seen it."""
        mirror = self.context.mirror
        git("update-ref", "-d", "refs/heads/factory/evidence", cwd=Path(mirror.url))
        git("update-ref", "-d", "refs/remotes/origin/factory/evidence", cwd=mirror.path)

    def recorded(self) -> list[str]:
        """Return the kinds of the statements that the test added to the evidence branch, in order."""
        self.context.fetch()
        head = self.context.mirror.head("factory/evidence")
        paths = sorted(self.context.mirror.tree(head, "statements/")) if head else []
        return [path.split("-")[1] for path in paths][self.given :]


def world(folder: Path, state: str) -> World:
    """Return the world in a recorded state: main, the claimed issue's lease, the session's commit, and the evidence."""
    origin, given = _origin("merged" if state in _MERGED else "claimed" if state == "claimed" else "review")
    shutil.copytree(origin, folder / origin.name)
    return replace(_world(folder, state), given=given)


def _world(folder: Path, state: str) -> World:
    """Return the world around the repository ``origin.git`` of a folder."""
    origin = folder / "origin.git"
    base = git("rev-parse", "start", cwd=origin).stdout.strip()
    head = git("rev-parse", "proposed", cwd=origin).stdout.strip()
    policies = read.read({f"policies/{path.name}": path.read_bytes() for path in (ROOT / "policies").glob("*.yml")})
    spec = specs.read((ROOT / "specs/hello.md").read_bytes(), source="hello")
    names = {
        "@HEAD@": head,
        "@HEAD8@": head[:8],
        "@BASE@": base,
        "@SESSION@": SESSION,
        "@POLICY@": policies.digest,
        "@SPEC@": spec.digest,
    }
    gitlab = RecordedGitlab(_answers(state, names))
    mirror = Mirror(folder / "mirror.git", str(origin))
    mirror.ensure()
    context = Context(
        accounts=Accounts(
            bot=_connected(gitlab, "factory-bot"),
            agent=_connected(gitlab, "factory-agent"),
            bot_token="",
            agent_token="",
            simulator=True,
        ),
        mirror=mirror,
        machine=Machine(state=folder, holder="here/0", env=TOOL_ENV, readable=(ROOT / ".venv", Path(sys.base_prefix))),
        recorder=Recorder(signer=lambda _: examples.signer(), own=examples.trust(simulated_approvals=True)),
        console=Console(say=lambda _: None, timed=lambda _, __: None),
    )
    # A status that is "success" ends the pipeline that it held.
    gitlab.then[f"POST statuses/{head}"] = lambda: gitlab.end_pipelines("success")
    context.fetch()
    session = Session(SESSION, 1, files.private_folder(folder / "sessions" / SESSION))
    return World(context, gitlab, session, head, names)


@cache
def _origin(stage: str) -> tuple[Path, int]:
    """Return a repository as it is after the claim, in review or after the merge, and how many statements it has."""
    folder = Path(tempfile.mkdtemp(prefix=f"{stage}-"))
    _seed(folder)
    made = _world(folder, "claimed" if stage == "claimed" else "approved")
    _claim(made.context, released=stage != "claimed")
    if stage != "claimed":
        _record_until_review(made)
    if stage == "merged":
        made.gitlab.then["PUT merge_requests/1/merge"] = lambda: made.follow("planned")
        ship.merge(lambda _, __, step: step(), made.context, 1)
    return folder / "origin.git", len(made.recorded())


def _record_until_review(made: World) -> None:
    """Record what the factory records from the claim of the issue to the review of its merge request."""
    context, written = made.context, examples.predicates(1, 1)
    for kind in ("claim", "attempt", "verdict"):
        own = {"key": f"{kind}/1", "session": SESSION, "head": made.head, "policy": made.names["@POLICY@"]}
        predicate = {name: own.get(name, value) for name, value in {"key": "", **written[kind]}.items()}
        subjects = examples.subjects(kind, {**predicate, "issue": 1})
        recorder.record(context, kind, issue=1, subjects=subjects, predicate=predicate)
    newest = max(item["id"] for item in made.gitlab.answers["pipelines"] if item["source"] == "merge_request_event")
    recorder.record_plans(context, 1, issue=1, pipeline=newest)


def _fits(item: Mapping[str, Any], query: Mapping[str, str]) -> bool:
    """Return whether an object of a list is one that a query asks for (GitLab docs: REST API, filters of lists)."""
    labels = {name for name in query.get("labels", "").split(",") if name}
    if not labels <= set(item.get("labels", labels)) or query.get("state", "all") not in {"all", item.get("state")}:
        return False
    if "environment" in query and item["environment"]["name"] != query["environment"]:
        return False
    return all(str(item.get(name, query[name])) == query[name] for name in ("sha", "ref", "source") if name in query)


def _connected(gitlab: RecordedGitlab, account: str) -> Connection:
    connection = connect(URL, PROJECT, account=account, token="a token")
    for scheme in ("https://", "http://"):
        connection.client.session.mount(scheme, gitlab)
    return connection


def _claim(context: Context, *, released: bool) -> None:
    frozen = FrozenIssue(1, "Greet", "Spec: hello", "operator", "owner", "hello", ())
    expires = clock.iso(clock.after(3600))
    held = lease.Lease(1, SESSION, context.machine.holder, expires, 1, released)
    lease.write(context.mirror, held, frozen, author=context.bot_author, token="")


def _seed(folder: Path) -> None:
    """Make the bare repository ``origin.git`` with main and a commit that is proposed to it."""
    seed, origin = folder / "seed", folder / "origin.git"
    for path in [*(ROOT / "policies").glob("*.yml"), *(ROOT / "specs").glob("*.md")]:
        place = seed / path.relative_to(ROOT)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(path.read_bytes())
    git("init", "-q", "-b", "main", cwd=seed)
    git("add", "-A", cwd=seed)
    git("commit", "-qm", "start", cwd=seed)
    git("tag", "start", cwd=seed)
    git("checkout", "-qb", "proposed", cwd=seed)
    git("commit", "-q", "--allow-empty", "-m", "Greet", cwd=seed)
    git("clone", "-q", "--bare", str(seed), str(origin), cwd=folder)
    git("symbolic-ref", "HEAD", "refs/heads/main", cwd=origin)


def _answers(state: str, names: Mapping[str, str]) -> Answers:
    """Return a state's answers with a test's own commits and digests."""
    text = (_RECORDED / f"{state}.json").read_text()
    for name, value in names.items():
        text = text.replace(name, value)
    for path, value in json.loads(text).items():
        if path.endswith("/manifest.json"):
            text = text.replace(f"@{path}@", canonical.digest_of(value))
    found: dict[str, Any] = json.loads(text)
    if "merge_requests/1" in found:
        found["PUT merge_requests/1/merge"] = found["merge_requests/1"]
    closed = text if state == "closed" else (_RECORDED / "closed.json").read_text().replace("@HEAD@", names["@HEAD@"])
    (release,) = json.loads(closed)["releases"]
    found["POST releases"] = release
    if state == "closed":
        found[f"releases/{release['tag_name']}"] = release
    return {f"repository/commits/{names['@HEAD@']}/statuses": [], **found}
