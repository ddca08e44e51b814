"""``factory demo``: takes one issue from open to deployed, on this machine."""

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from http import HTTPStatus

import click

from factory.cli import output
from factory.cli.current import open_workspace
from factory.errors import AwaitingHuman, EvidenceInvalid, Refused
from factory.evidence import verify
from factory.gitlab import deployments, issues, merge_requests, pipelines
from factory.gitlab.connect import Connection
from factory.instance import servers
from factory.instance.context import opened, preload, trust
from factory.instance.workspace import OPERATOR, REHEARSAL, Workspace
from factory.operations import deployment_approval
from factory.reports.tables import table
from factory.system import clock, files, http
from factory.workflow import recorder, work_loop, work_queue
from factory.workflow.context import Context
from factory.workflow.release import pipeline_watch

TITLE, SPEC = "Greet a visitor by name", "hello"
TEXT = "Visitors who give a name should be greeted by it."
HOSTNAME, QUESTION = "www.hello.test", "/greeting?name=Ada"


@dataclass(frozen=True)
class _Row:
    """The seconds of one step of the demo: the whole, the agent's part, and the part of jobs and local checks."""

    label: str
    whole: float
    agent: float
    jobs: float

    @property
    def factory(self) -> float:
        """The remaining seconds, spent by the factory."""
        return self.whole - self.agent - self.jobs


@dataclass
class _Clock:
    """Collects the rows; ``timed`` adds seconds to the current step."""

    rows: list[_Row] = field(default_factory=list)
    within: dict[str, float] = field(default_factory=dict)

    def timed(self, name: str, seconds: float) -> None:
        self.within[name] = self.within.get(name, 0.0) + seconds

    def add(self, label: str, seconds: float, *, jobs: float) -> None:
        agent, checks = self.within.pop("agent", 0.0), self.within.pop("check", 0.0)
        # Jobs of two pipelines may run at once: what they took together is no longer than the step.
        self.rows.append(_Row(label, seconds, agent, min(jobs + checks, max(0.0, seconds - agent))))

    def total(self) -> _Row:
        sums = [sum(getattr(row, name) for row in self.rows) for name in ("whole", "agent", "jobs")]
        return _Row("total", *sums)


@click.command()
@click.option(
    "--yes", is_flag=True, help="Let the account `rehearsal` approve; these approvals are marked as simulated."
)
@click.option("--keep", is_flag=True, help="Leave the servers running afterwards.")
@output.as_json
def command(yes: bool, keep: bool, as_json: bool) -> None:
    """Take one issue from open to deployed, on a separate instance; after an interruption, run it again."""
    flags = click.get_current_context().find_root().obj or {}
    workspace = open_workspace(flags.get("instance") or "demo")
    _begin(workspace)
    times = _Clock()
    try:
        start = clock.monotonic()
        servers.ensure_up(workspace, say=output.say, meanwhile=preload)
        times.add("up: servers, infrastructure", clock.monotonic() - start, jobs=_jobs(workspace, since=start))
        with opened(workspace, say=output.say, timed=times.timed) as (context, engine, held):
            number = _issue(workspace)
            decide = _decider(workspace, simulated=yes or not sys.stdin.isatty())
            _travel(workspace, number, lambda: work_loop.once(context, engine, held, issue=number), decide, times)
            report = _verify(workspace, context, number)
    finally:
        if not keep:
            servers.stop(workspace)
    files.write_atomic(workspace.state / "demo.json", json.dumps({"issue": number}).encode())
    _show(report, times, as_json=as_json)


def _begin(workspace: Workspace) -> None:
    """Discard the instance of a finished demo, or of one that was not set up; otherwise continue with it.

    Raises ``Refused`` for an instance that is connected to a project of a person.
    """
    if not workspace.settings.embedded:
        name = workspace.settings["instance"]
        raise Refused(
            f"the instance {name} is connected to {workspace.url}, and a demo would discard it",
            hint="Run the demo without --instance and without FACTORY_GITLAB_URL.",
        )
    if (workspace.state / "demo.json").exists() or not (workspace.state / "provisioned").exists():
        servers.discard(workspace)


def _issue(workspace: Workspace) -> int:
    """Open the demo's issue, or go on with the one that an interrupted demo opened; tell what the app answers."""
    connection = workspace.connection(OPERATOR)
    found = next((item for item in issues.find(connection, state="all") if item.title == TITLE), None)
    if found:
        _tell(f"#{found.iid} is {found.state}; the demo goes on. The app answers: {_ask(workspace)}")
        return found.iid
    text = f"{TEXT}\n\nSpec: {SPEC}"
    created = issues.create(connection, title=TITLE, description=text, labels=["factory::ready"])
    _tell(f"#{created.iid} is opened: {created.title}")
    _tell(f"before: {_ask(workspace)}")
    return created.iid


def _travel(
    workspace: Workspace,
    number: int,
    once: Callable[[], work_loop.WorkResult | work_queue.Idle],
    decide: Callable[[Sequence[str]], None],
    times: _Clock,
) -> None:
    """Do the next action until the issue is closed; call ``decide`` if a person must approve."""
    connection = workspace.connection(OPERATOR)
    while issues.get(connection, number).state != "closed":
        start = clock.monotonic()
        done = once()
        if isinstance(done, work_queue.Idle):
            if not done.waiting:
                raise AwaitingHuman(
                    f"#{number} is not offered to the factory; its notes say why: `factory issue show {number}`",
                    hint=f"Run `factory issue retry {number}`, then `factory demo` again to continue.",
                )
            decide(done.waiting)
            continue
        seconds = clock.monotonic() - start
        times.add(done.action.kind, seconds, jobs=_jobs(workspace, since=start))


def _decider(workspace: Workspace, *, simulated: bool) -> Callable[[Sequence[str]], None]:
    """Return the function that approves: as ``operator`` after a prompt, or as ``rehearsal``."""
    connection = workspace.connection(REHEARSAL if simulated else OPERATOR)

    def decide(waiting: Sequence[str]) -> None:
        request = next((item for item in merge_requests.find(connection)), None)
        if request is not None:
            _confirm(
                connection, simulated, f"Approve !{request.iid} at {request.sha[:12]}?", _diff(connection, request.iid)
            )
            merge_requests.approve(connection, request.iid, sha=request.sha)
            return
        found = [item for item in deployments.find(connection) if deployment_approval.waits(connection, item)]
        if not found:
            raise AwaitingHuman("; ".join(waiting), hint="Do that, then run `factory demo` again to continue.")
        digest, manifest = deployment_approval.saved_plan(connection, found[0])
        shown = "\n".join(f"  {name}: {value}" for name, value in asdict(manifest).items())
        _confirm(connection, simulated, f"Approve the deployment of {found[0].sha[:12]}?", shown)
        deployment_approval.approve(connection, found[0], digest)

    return decide


def _confirm(connection: Connection, simulated: bool, question: str, shown: str) -> None:
    if simulated:
        _tell(f"{question} simulated approval by the account {connection.account}")
        return
    click.echo(shown)
    if not click.confirm(question, err=True):
        raise AwaitingHuman("you did not approve", hint="Run `factory demo` again to continue from here.")


def _diff(connection: Connection, iid: int) -> str:
    return "\n".join(
        f"--- {item.old_path}\n+++ {item.new_path}\n{item.diff}" for item in merge_requests.changes(connection, iid)
    )


def _jobs(workspace: Workspace, *, since: float) -> float:
    """Return the seconds of the jobs that began since a monotonic time, per pipeline from first start to last end."""
    connection = workspace.connection(OPERATOR)
    begin = clock.now().timestamp() - (clock.monotonic() - since)
    total = 0.0
    for run in pipelines.newest(connection):
        jobs = [
            job
            for job in pipelines.jobs(connection, run.id)
            if job.started_at and clock.parse(job.started_at).timestamp() >= begin
        ]
        total += pipeline_watch.seconds(jobs)
    return total


def _ask(workspace: Workspace) -> str:
    """Request the app's greeting through the edge; before the first deployment, nothing answers there."""
    edge = http.Client(f"http://127.0.0.1:{workspace.record.ports['edge']}", headers={"Host": HOSTNAME})
    answer = edge.send("GET", QUESTION)
    return answer.text.strip() if answer.status == HTTPStatus.OK else f"no app yet (HTTP {answer.status})"


def _verify(workspace: Workspace, context: Context, number: int) -> dict[str, object]:
    """Request the greeting again and verify the merge request's evidence; raises ``EvidenceInvalid``."""
    after = _ask(workspace)
    _tell(f"after: {after}")
    context.fetch()
    request = merge_requests.find(context.bot, state="merged")[-1]
    report = verify.verify(recorder.read_tree(context), trust=trust(workspace), merge_request=request.iid)
    if not report.passed or not report.complete:
        reasons = [check.reason for check in report.findings] + list(report.missing)
        raise EvidenceInvalid(f"the evidence of !{request.iid} is invalid: {'; '.join(reasons)}")
    return {
        "issue": number,
        "merge_request": request.iid,
        "answer": after,
        "statements": report.size,
        "checks": len(report.checks),
        "notices": list(report.notices),
    }


def _show(report: dict[str, object], times: _Clock, *, as_json: bool) -> None:
    parts = ("whole", "agent", "jobs", "factory")
    found = [*times.rows, times.total()]
    rows = [[row.label, *(f"{getattr(row, name):.1f}" for name in parts)] for row in found]
    text = "\n".join(
        [
            "",
            table(["step", "seconds", "agent", "jobs", "factory"], rows),
            "",
            f"#{report['issue']} is closed; {HOSTNAME} answers {report['answer']}",
            f"evidence of !{report['merge_request']}: {report['checks']} checks passed",
            *(f"note: {notice}" for notice in _notices(report)),
        ]
    )
    seconds = {name: round(getattr(times.total(), name), 2) for name in parts}
    output.one(report | {"seconds": seconds}, json_wanted=as_json, text=text)


def _tell(line: str) -> None:
    click.echo(f"• {line}", err=True)


def _notices(report: dict[str, object]) -> list[str]:
    found = report["notices"]
    return [str(item) for item in found] if isinstance(found, list) else []
