"""``factory eval``: compares agents, models and briefs on recorded issues."""

import itertools
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from factory.cli import output
from factory.cli.current import current
from factory.errors import InvalidInput
from factory.evals import issues, report
from factory.evals.issues import IssueSet
from factory.evals.run import EvalRun, Variant
from factory.evals.statistics import Outcome
from factory.evidence.sign import Signer, generate
from factory.evidence.trust import Trust
from factory.gates import GATES
from factory.gitlab.connect import connect
from factory.instance.context import machine
from factory.instance.workspace import AGENT, BOT, Workspace
from factory.model.gitlab import MAIN
from factory.model.session import Session
from factory.system import files
from factory.workflow.context import Accounts, Console, Context, Machine, Recorder
from factory.worktrees.repository import Mirror, run

SHIPPED = "shipped"
RESULTS = Path("docs/evals/results")
_HELLO = Path("docs/evals/hello")
# No server: an evaluation does not use GitLab.
_NOWHERE = "http://127.0.0.1:0"


@click.command()
@click.argument("folder", metavar="[SET]", type=click.Path(path_type=Path, resolve_path=True), required=False)
@click.option(
    "--agent", "agents", multiple=True, help="An agent of policies/agents.yml (default: policy's default agent)."
)
@click.option("--model", "models", multiple=True, help="A model to use instead of the agent's own.")
@click.option(
    "--brief", "briefs", multiple=True, help="A file with another brief template, or `shipped` (the default)."
)
@click.option(
    "--runs", type=click.IntRange(1, 1000), default=1, show_default=True, help="How many times to run each issue."
)
@click.option("--record", is_flag=True, help="Save the result in docs/evals/results/, named by the brief's digest.")
@click.option("--keep", type=click.Path(path_type=Path), help="Keep the sessions in this folder.")
@output.as_json
def command(
    folder: Path | None,
    agents: tuple[str, ...],
    models: tuple[str, ...],
    briefs: tuple[str, ...],
    runs: int,
    record: bool,
    keep: Path | None,
    as_json: bool,
) -> None:
    """Run a set of recorded issues and print outcome, cost, attempts and interventions, with 95 % intervals.

    Several agents, models or briefs run on the same issues and are compared. SET is a folder with a file issues.yml
    (default: docs/evals/hello). It runs on this clone's HEAD, without GitLab, in temporary folders.
    """
    workspace = current()
    source = folder or workspace.settings.clone / _HELLO
    text = files.read_text(source / issues.FILE)
    found = issues.read(text, source=str(source / issues.FILE), gates=GATES.__contains__)
    recordings = files.contained(source, found.recordings) if found.recordings else None
    with _ground(workspace, keep, recordings) as ground:
        policies = ground.context("").policies()
        chosen = _variants(agents or (policies.agents.default,), models or ("",), briefs or (SHIPPED,))
        variants = [replace(variant, recordings=recordings) for variant in chosen]
        for variant in variants:
            variant.chosen(policies)  # fails before anything is spent
        outcomes = list(_outcomes(ground, found, variants, runs))
    result = report.build(name=source.name, runs=runs, variants=variants, policies=policies, outcomes=outcomes)
    if record:
        for digest, value in report.by_brief(result).items():
            path = workspace.settings.clone / RESULTS / f"{digest.removeprefix('sha256:')}.json"
            files.write_atomic(path, json.dumps(value, indent=1).encode() + b"\n")
            output.say(f"recorded in {path.relative_to(workspace.settings.clone)}")
    output.one(result, json_wanted=as_json, text=report.text(outcomes))


@dataclass(frozen=True)
class _Ground:
    """Where an evaluation runs: it writes only to ``folder``, and reads the clone and ``recordings``."""

    workspace: Workspace
    folder: Path
    recordings: Path | None

    def context(self, base: str) -> Context:
        """Return a context with a commit of the clone as main (default: HEAD); raises ``InvalidInput``."""
        place, name = self.workspace, base or "HEAD"
        if not all(character.isalnum() for character in name):
            raise InvalidInput(f"{base!r} is not a commit")
        mirror = Mirror(self.folder / f"mirror-{name}.git", str(self.folder / "nowhere.git"))
        mirror.ensure()
        if mirror.head(MAIN) is None:
            mirror.take(place.settings.clone, name)
            run(mirror.path, "update-ref", f"refs/remotes/origin/{MAIN}", f"refs/seed/{name}")
        signer = Signer(generate())
        here = machine(place, state=self.folder, holder="eval")
        return Context(
            accounts=Accounts(
                bot=connect(_NOWHERE, "eval/eval", account=BOT, token=""),
                agent=connect(_NOWHERE, "eval/eval", account=AGENT, token=""),
                bot_token="",
                agent_token="",
                simulator=True,
            ),
            mirror=mirror,
            machine=replace(
                here,
                readable=(*here.readable, *([self.recordings] if self.recordings else [])),
                environments=Machine.environments,
            ),
            recorder=Recorder(signer=lambda _: signer, own=Trust.of(signer.public, origin="eval", agent_account=AGENT)),
            console=Console(say=output.say, timed=lambda _, __: None),
        )


@contextmanager
def _ground(workspace: Workspace, keep: Path | None, recordings: Path | None) -> Iterator[_Ground]:
    if keep is not None:
        yield _Ground(workspace, files.private_folder(keep.resolve()), recordings)
        return
    with TemporaryDirectory(prefix="factory-eval-") as folder:
        yield _Ground(workspace, Path(folder), recordings)


def _outcomes(ground: _Ground, found: IssueSet, variants: Sequence[Variant], runs: int) -> Iterator[Outcome]:
    """Run each issue with each variant in turn, so that changes over time affect all variants."""
    plan = itertools.product(range(1, runs + 1), found.issues, variants)
    for number, (count, item, variant) in enumerate(plan, 1):
        context = ground.context(item.base)
        session = Session(f"eval{number}", number, ground.folder / "sessions" / f"eval{number}")
        files.remove_tree(session.folder)
        output.say(f"{item.name}, {variant.name}, run {count} (session {session.id})")
        outcome = EvalRun(context, context.policies(), session, item, variant).run(count)
        reason = f": {outcome.reason}" if outcome.reason else ""
        output.say(f"{outcome.result} after {outcome.attempts} attempts, {outcome.seconds:g} s{reason}")
        yield outcome


def _variants(agents: Sequence[str], models: Sequence[str], briefs: Sequence[str]) -> list[Variant]:
    """Return one variant for each combination of agent, model and brief, named after them."""
    found = []
    for agent, model, name in itertools.product(agents, models, briefs):
        template = None if name == SHIPPED else files.read_text(Path(name))
        parts = (agent, model, "" if name == SHIPPED and len(briefs) == 1 else f"brief {Path(name).name}")
        found.append(Variant(" · ".join(part for part in parts if part), agent, model, template))
    if len({variant.name for variant in found}) != len(found):
        raise InvalidInput("two variants have the same name: an agent, a model or a brief was given twice")
    return found
