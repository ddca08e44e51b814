"""Two machines record in one log at the same moment, each with its own key."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from factory.errors import EvidenceInvalid
from factory.evidence import provenance, transparency_log
from factory.evidence.trust import TrustedKey
from factory.evidence.verify import verify
from factory.system import canonical
from factory.workflow import recorder
from factory.workflow.context import Context, Recorder
from factory.workflow.recorder import read_tree, record
from factory.worktrees.repository import Mirror
from tests.evidence import examples
from tests.workflow.recorded_gitlab import World, world
from tests.workflow.test_proof import plan_again

_EACH = 6
_PLAN = "jobs/91/artifacts/.factory/plan/production"


@pytest.fixture
def planned(tmp_path: Path) -> World:
    """Return a world in which pipeline 9 planned main with an archive of the app hello."""
    made = world(tmp_path, "planned")
    plan_again(made, serial=1)
    archives = {"hello": examples.digest("archive")}
    made.gitlab.answers[f"{_PLAN}/archives.json"] = archives
    made.gitlab.change(f"{_PLAN}/manifest.json", archives=canonical.digest_of(archives))
    return made


def test_the_archives_of_a_plan_are_recorded_as_builds_once(planned: World) -> None:
    for _ in range(2):
        recorder.record_plans(planned.context, 1, issue=1, pipeline=9)
    assert planned.recorded() == ["plan", "plan", "build"]
    *_, found = transparency_log.read(read_tree(planned.context))
    assert found.predicate["archive"] == examples.digest("archive")
    assert found.predicate["commit"] == planned.head
    assert provenance.name_of(found) == f"hello-{planned.head[:12]}"


def test_archives_that_the_manifest_does_not_name_are_refused(planned: World) -> None:
    planned.gitlab.change(f"{_PLAN}/archives.json", hello=examples.digest("another"))
    with pytest.raises(EvidenceInvalid, match="of the stack production is not the file"):
        recorder.record_plans(planned.context, 1, issue=1, pipeline=9)
    assert planned.recorded() == []


def test_two_machines_at_the_same_moment_lose_no_statement(tmp_path: Path) -> None:
    made = world(tmp_path, "claimed").context
    keys = {name: examples.signer(name) for name in ("laptop", "tower")}
    trust = examples.trust(keys={key.keyid: TrustedKey(key.public, name) for name, key in keys.items()})

    def machine(name: str) -> Context:
        mirror = Mirror(tmp_path / f"{name}.git", made.mirror.url)
        mirror.ensure()
        return replace(made, mirror=mirror, recorder=Recorder(signer=lambda _: keys[name], own=trust))

    def work(context: Context) -> None:
        for number in range(_EACH):
            key = f"restore/{context.mirror.path.name}/{number}"
            predicate = {"key": key, "stack": "production", "from_serial": 1, "serial": 2, "by": "a", "reason": "b"}
            record(context, "restore", issue=0, subjects={"state": examples.digest("state")}, predicate=predicate)

    machines = [machine(name) for name in keys]
    with ThreadPoolExecutor(len(machines)) as pool:
        for ended in [pool.submit(work, context) for context in machines]:
            ended.result()
    machines[0].fetch()
    report = verify(read_tree(machines[0]), trust=trust, merge_request=None)
    assert (list(report.findings), report.size) == ([], 2 * _EACH)
