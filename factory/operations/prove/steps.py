"""The steps of a run, in their order: what each needs, and what it does with the product's own commands."""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path

from factory.errors import ProofFailed
from factory.gitlab import bootstrap, deployments, issues, merge_requests, pipelines
from factory.gitlab.conformance_transcript import Answer, faults
from factory.gitlab.connect import Connection, connect
from factory.gitlab.settings import run as settings
from factory.operations import conformance, deployment_approval
from factory.operations.prove import namespaces, throwaway_clone
from factory.operations.prove.command_line import CommandLine
from factory.operations.prove.deadline import Deadline
from factory.operations.prove.hosts import Hosts
from factory.operations.prove.request import Found, Request, Tokens
from factory.reports.markdown import count
from factory.system import clock, files

_MERGE = "approve, merge, staging"
# The replay agent's recording of this issue needs one attempt: on hosted runners a pipeline takes minutes.
_TITLE, _TEXT = "Say which standard the service keeps", "- The first line of the app names its standard."
# A merge request that waits for nothing but an approval: on Free, the commit status factory/approval holds it.
_HELD = frozenset({"ci_still_running", "ci_must_pass", "not_approved"})
_PAUSE = 0.5
# How often the recording of the transcript waits for GitLab.
_WAITS = 4
_PLAN_TOKEN, _APPLY_TOKEN = "CLOUDFLARE_PLAN_TOKEN", "CLOUDFLARE_APPLY_TOKEN"
_NO_TOKEN = "nothing-is-deployed"  # noqa: S105 - a stand-in
_JUDGE = "gitlab-judge-token"
_ACCOUNT = "TF_VAR_account_id"


@dataclass
class Proof:
    """One run: what was asked and found, where it works, and what its steps have seen so far.

    ``env`` is the environment of the run's commands, ``person`` that of the person's own, for the agents' logins.
    ``decide`` shows a text to the person and asks a question; it raises ``AwaitingHuman`` without a yes.
    """

    request: Request
    tokens: Tokens
    found: Found
    source: Path
    place: Path
    env: Mapping[str, str]
    person: Mapping[str, str]
    deadline: Deadline
    decide: Callable[[str, str], None]
    tier: str = "unknown"
    merge_request: int = 0
    differences: list[str] = field(default_factory=list)
    transcript: bytes = b""

    @cached_property
    def hosts(self) -> Hosts:
        """Return what runs the releases of this run."""
        return Hosts(self.place / "hosts")

    @property
    def clone(self) -> Path:
        """Return the run's own clone."""
        return self.place / "clone"

    @property
    def command(self) -> CommandLine:
        """Return how to run a command in the run's own clone."""
        return CommandLine(self.clone, self.env, self.deadline)

    @property
    def project(self) -> Connection:
        """Return the operator's connection to the run's project."""
        return connect(
            self.request.url,
            self.found.record.project,
            account=self.found.operator.username,
            token=self.tokens.operator.reveal(),
        )

    def wait(self, what: Callable[[], bool]) -> None:
        """Wait until ``what`` is true; raises ``ProofFailed`` if the time is over."""
        while not what():
            self.deadline.left()
            clock.sleep(_PAUSE)


@dataclass(frozen=True)
class Step:
    """One step: ``after`` are the steps that must have passed; ``run`` returns what it saw.

    ``needs`` returns why the step is not run as asked, or an empty text.
    """

    name: str
    after: tuple[str, ...]
    run: Callable[[Proof], str]
    needs: Callable[[Proof], str] = lambda _: ""


def _group(proof: Proof) -> str:
    parent, _, name = proof.found.record.group.rpartition("/")
    namespaces.make_subgroup(proof.project, parent, name)
    return f"{proof.found.record.group} is made"


def _conformance(proof: Proof) -> str:
    parent, _, name = proof.found.record.conformance.rpartition("/")
    found = conformance.record(
        proof.request.url,
        token=proof.tokens.operator.reveal(),
        namespace=parent,
        name=name,
        say=lambda _: None,
        patience=proof.deadline.left() / _WAITS,
    )
    proof.tier = found.tier
    kept = json.loads(files.read_text(proof.source / f"docs/conformance/local-{found.tier}.json"))
    proof.differences += faults(found.answers, [Answer(**item) for item in kept["answers"]])
    answers = [answer.to_json() for answer in found.answers]
    value = {"version": found.version, "tier": found.tier, "jobs": found.jobs, "answers": answers}
    proof.transcript = (json.dumps(value, indent=1) + "\n").encode()
    return f"{len(found.answers)} kinds of answers, {count(len(proof.differences), 'difference')}"


def _connect(proof: Proof) -> str:
    made, tokens = proof.found.record, proof.tokens
    throwaway_clone.make(proof.source, proof.clone, proof.env, bind=proof.found.bot.username, hostnames=made.hostnames)
    if made.zone:
        given = {"CLOUDFLARE_API_TOKEN": tokens.cloudflare.reveal(), "CLOUDFLARE_BASE_URL": made.cloudflare}
        proof.command.run("infra", "adopt-zone", made.zone, more={key: text for key, text in given.items() if text})
        throwaway_clone.to_main(proof.clone, proof.env, f"adopt-{made.zone}")
        throwaway_clone.own_tunnels(proof.clone, proof.env, {name: made.tunnel(name) for name in made.hostnames})
    connected = ("connect", proof.request.url, "--project", made.project, "--yes")
    proof.command.run(*connected, stdin=tokens.operator)
    proof.command.run(*connected, "--bot", stdin=tokens.bot)
    proof.command.run("secrets", "put", _JUDGE, stdin=tokens.judge)
    proof.command.run("secrets", "sync", _JUDGE)
    values = {name: (value, False) for name, value in made.variables.items()}
    if made.zone:
        values |= dict.fromkeys((_PLAN_TOKEN, _APPLY_TOKEN), (tokens.cloudflare.reveal(), True))
        values[_ACCOUNT] = (made.account, False)
    else:
        # The job `plan` asks for the token before it sees that no stack is affected.
        values[_PLAN_TOKEN] = (_NO_TOKEN, True)
    bootstrap.variables(proof.project, values)
    proof.tier = settings.tier(proof.project)
    return f"{made.project} is made; {len(values)} CI variables are set"


def _settings(proof: Proof) -> str:
    return proof.command.run("gitlab", "plan").strip().splitlines()[-1]


def _deliver(proof: Proof) -> str:
    proof.command.run("issue", "new", _TITLE, "--small", "--text", _TEXT)
    proof.command.run("work", "--once", "--agent", "replay")
    found = merge_requests.find(proof.project)
    if not found:
        raise ProofFailed("the factory opened no merge request")
    proof.merge_request = found[0].iid
    proof.wait(lambda: merge_requests.get(proof.project, found[0].iid).detailed_merge_status in _HELD)
    return f"!{found[0].iid} waits for its approval; its pipeline passed"


def _merge(proof: Proof) -> str:
    number = str(proof.merge_request)
    request = merge_requests.get(proof.project, proof.merge_request)
    proof.decide(f"Approve !{number} at {request.sha[:12]}?", proof.command.run("mr", "show", number))
    proof.command.run("mr", "approve", number)
    if proof.found.record.zone and proof.request.sockets:
        project, token = proof.found.record.project, proof.tokens.bot
        proof.hosts.start(proof.command, proof.request.sockets, url=proof.request.url, project=project, token=token)
    try:
        proof.command.run("work", "--once", "--agent", "replay")
    except ProofFailed:
        # The check from outside fails, because nothing answers; what was applied is looked at below.
        if not proof.found.record.zone or served(proof):
            raise
    state = merge_requests.get(proof.project, proof.merge_request).state
    if state != "merged":
        raise ProofFailed(f"!{number} is {state}, not merged")
    if not proof.found.record.zone:
        _require_closed(proof)
        return f"!{number} is merged; the issue is closed, and nothing is deployed"
    return f"!{number} is merged; {_applied(proof, 'staging')}"


def _production(proof: Proof) -> str:
    if not served(proof):
        raise ProofFailed("not run: nothing runs the releases, because no --sockets was given")
    waiting = [item for item in deployments.find(proof.project) if item.environment == "production"]
    if not waiting:
        raise ProofFailed("no deployment to production waits")
    digest, manifest = deployment_approval.saved_plan(proof.project, waiting[0])
    shown = "\n".join(f"  {name}: {value}" for name, value in asdict(manifest).items())
    proof.decide(f"Approve the deployment of {waiting[0].sha[:12]} with the manifest {digest}?", shown)
    proof.command.run("deploy", "approve", str(waiting[0].id))
    proof.command.run("work", "--once", "--agent", "replay")
    _require_closed(proof)
    return f"{_applied(proof, 'production')}; the release answers, and the issue is closed"


def _evidence(proof: Proof) -> str:
    report = proof.command.json("evidence", "verify", str(proof.merge_request))
    values = report if isinstance(report, dict) else {}
    if not (values.get("passed") and values.get("complete")):
        raise ProofFailed(f"the evidence of !{proof.merge_request} is not passed and complete")
    return f"the evidence of !{proof.merge_request} is passed and complete"


def _applied(proof: Proof, environment: str) -> str:
    """Return that an environment's plan is applied; raises ``ProofFailed``."""
    runs = pipelines.newest(proof.project)
    jobs = [job for run in runs for job in pipelines.jobs(proof.project, run.id)]
    states = {job.status for job in jobs if job.name == f"apply-{environment}"}
    if "success" not in states:
        raise ProofFailed(f"apply-{environment} is {', '.join(sorted(states)) or 'missing'}, not successful")
    return f"{environment} is applied"


def _require_closed(proof: Proof) -> None:
    open_ones = [f"#{item.iid}" for item in issues.find(proof.project)]
    if open_ones:
        raise ProofFailed(f"the factory did not close {', '.join(open_ones)}")


def _without_group(proof: Proof) -> str:
    return "" if proof.request.group else "no --group was given: the projects are in your own namespace"


def served(proof: Proof) -> bool:
    """Return whether this machine runs the releases; without that, nothing answers behind the tunnel."""
    return proof.request.sockets is not None


def _deployed(proof: Proof) -> str:
    return "" if proof.found.record.zone else "no --zone was given"


STEPS = (
    Step("throwaway group", (), _group, _without_group),
    Step("conformance transcript", ("throwaway group",), _conformance),
    Step("connect", ("throwaway group",), _connect),
    Step("settings in sync", ("connect",), _settings),
    Step("issue to merge request", ("connect",), _deliver),
    Step(_MERGE, ("issue to merge request",), _merge),
    Step("production", (_MERGE,), _production, _deployed),
    Step("evidence", (_MERGE, "production"), _evidence),
)
