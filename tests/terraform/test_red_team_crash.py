"""The red team while an apply runs: killed at the worst moment, or robbed of its lock, nothing is applied twice."""

import multiprocessing
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from factory.errors import ApplyUnknown, Conflict, FactoryError, Refused
from factory.operations.infra_job import Job
from factory.terraform import apply as applying
from factory.terraform.apply import Order
from factory.terraform.plan import Stack
from factory.terraform.state import identity
from tests.servers import wait_for
from tests.terraform.red_team import Scene, World
from tests.terraform.stacks import TERRAFORM

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(not TERRAFORM, reason="terraform is not installed: run `make setup`"),
]

NEW = "cloudflare_dns_record.new"


@pytest.fixture
def scene(attacked: World, tmp_path: Path) -> Iterator[Scene]:
    """Give an approved plan in an account of its own."""
    with attacked.another(tmp_path) as mine:
        yield mine.scene(tmp_path / "scene")


def run(stack: Stack, out: Path, order: Order, job: Job) -> None:
    applying.apply(stack, out, order, job.rules())


def killed(scene: Scene) -> None:
    """Apply in a process of its own, which the scene's terraform kills."""
    process = multiprocessing.get_context("spawn").Process(
        target=run, args=(scene.stack, scene.out, scene.order, scene.job)
    )
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL


def refused(scene: Scene, error: type[FactoryError], reason: str) -> None:
    """Make sure that an apply is refused, and that it changes nothing."""
    before = scene.seen()
    with pytest.raises(error, match=reason):
        scene.apply()
    assert scene.seen() == before


def taken_off(scene: Scene) -> None:
    held = scene.state.holder()
    assert held is not None
    scene.state.unlock(held)


CRASHES = {
    "killed between apply and record": ("", "kill -9 $PPID; sleep 1"),
    "killed before terraform began": ("kill -9 $PPID; sleep 9", ""),
}


@pytest.mark.parametrize("attack", CRASHES)
def test_attack_by_a_crash(scene: Scene, attack: str) -> None:
    before = scene.seen()
    killed(scene.wrapped(*CRASHES[attack]))
    assert scene.told()["phase"] == "started"
    applied = scene.seen() != before and scene.state.read() != before[1]
    assert applied == (attack == "killed between apply and record")
    refused(scene, ApplyUnknown, r"did not finish \(phase started\); it is not repeated")
    assert scene.told()["phase"] == "started"
    refused(scene.retried(), Conflict, "the state is locked by job 1 of pipeline 1 for apply")
    taken_off(scene)
    refused(scene, ApplyUnknown, "did not finish")
    if applied:
        refused(scene.retried(), Refused, "the state has changed .* and a new plan has other changes")
    else:
        scene.retried().apply()


def test_attack_by_stealing_the_lock_during_the_apply(scene: Scene) -> None:
    begun, go = scene.folder / "begun", scene.folder / "go"
    waiting = scene.wrapped(f"touch {begun}; while ! test -e {go}; do sleep 0.05; done")

    def steal() -> None:
        wait_for(begun.exists)
        taken_off(scene)
        scene.state.lock(who="a thief", operation="apply", minutes=5)
        go.touch()

    thread = threading.Thread(target=steal)
    thread.start()
    before = scene.state.read()
    with pytest.raises(Conflict, match=r"Failed to save state: .* HTTP error: 409"):
        waiting.apply()
    thread.join()
    assert scene.state.read() == before
    assert (scene.told()["phase"], scene.told()["done"]) == ("failed", [NEW])
    assert identity((scene.out / applying.ERRORED).read_bytes()).serial > identity(before).serial
    held = scene.state.holder()
    assert held is not None
    assert held.who == "a thief"
    refused(scene, ApplyUnknown, r"did not finish \(phase failed\)")
    refused(scene.retried(), Conflict, "the state is locked by a thief")
