"""An apply on a bad day: the error is one of ours and clear, what was done is told, and what follows ends well."""

import os
import shutil
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from factory.errors import ApplyUnknown, Conflict, DiskFull, FactoryError, ToolFailed, Unauthorized, Unreachable
from factory.terraform import apply as applying
from factory.terraform import plan as planning
from factory.terraform.program import Killed
from factory.terraform.state import identity
from tests.local_cloudflare.misbehaving import Deed, Script, misbehaving
from tests.servers import wait_for
from tests.terraform.red_team import FIRST, Scene, World, record
from tests.terraform.stacks import TERRAFORM, order

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(not TERRAFORM, reason="terraform is not installed: run `make setup`"),
]

TWO = FIRST + record("a") + record("b", more="depends_on = [cloudflare_dns_record.a]")
A, B = "cloudflare_dns_record.a", "cloudflare_dns_record.b"


@pytest.fixture
def scene(attacked: World, tmp_path: Path) -> Iterator[Scene]:
    """Give an approved plan that makes two records, one after the other, in an account of its own."""
    attacked.plan(TWO)
    with attacked.another(tmp_path) as mine:
        yield mine.scene(tmp_path / "scene", TWO)


def settle(scene: Scene) -> None:
    """Plan anew and apply that; the apply itself makes sure that the plan after it is empty."""
    out = scene.folder / "again"
    manifest, _ = planning.make(scene.stack, out, lock_state=True)
    applying.apply(scene.stack, out, order(manifest.digest()), scene.job.rules())
    assert {"a.red.test", "b.red.test"} <= names(scene)


def names(scene: Scene) -> set[str]:
    (zone,) = scene.world.double.result("GET", "/zones")
    found = [item["name"] for item in scene.world.double.result("GET", f"/zones/{zone['id']}/dns_records")]
    assert len(found) == len(set(found)), "nothing is there twice"
    return set(found)


@contextmanager
def bad_api(scene: Scene, script: Script) -> Iterator[Scene]:
    """Give the scene with a Cloudflare that does what ``script`` says."""
    with misbehaving(scene.world.double.api, script) as url:
        yield scene.given(CLOUDFLARE_BASE_URL=url)


@contextmanager
def bad_state(scene: Scene, deed: Deed) -> Iterator[Scene]:
    """Give the scene with a GitLab that does so wherever the state is to be saved."""
    env = scene.stack.env

    def script(method: str, path: str, _: int) -> Deed:
        return deed if method == "POST" and "/lock" not in path else "pass"

    with misbehaving(scene.world.server.url, script) as url:
        yield scene.given(
            **{
                key: value.replace(scene.world.server.url, url)
                for key, value in env.items()
                if key.startswith("TF_HTTP_")
            }
        )


def making(deed: Deed, number: int, times: int = 1) -> Script:
    """Return a script in which the ``number``-th record that is to be made meets with ``deed``."""

    def script(method: str, path: str, count: int) -> Deed:
        hit = method == "POST" and path.endswith("/dns_records") and number <= count < number + times
        return deed if hit else "pass"

    return script


def always(deed: Deed) -> Script:
    """Return a script in which nothing else happens."""
    return lambda *_: deed


def test_what_is_limited_for_a_moment_is_tried_again(scene: Scene) -> None:
    with bad_api(scene, making("429", 1)) as limited:
        limited.apply()
    assert scene.told()["done"] == [A, B]


@pytest.mark.matrix(2)
@pytest.mark.parametrize(
    ("script", "error", "said", "done"),
    [
        (making("429", 2, times=9), Unreachable, "HTTP 429, tries: 4", [A]),
        (making("500", 2), Unreachable, "HTTP 500; it is unknown", [A]),
        (making("reset", 2), Unreachable, "it is unknown whether the object was created", [A]),
        (making("hang", 2), Unreachable, "it is unknown whether", [A]),
        (making("401", 2), Unauthorized, "HTTP 401: 10000 Authentication error", [A]),
        (making("500", 1), Unreachable, "HTTP 500; it is unknown", []),
        (always("500"), Unreachable, "HTTP 500, tries: 4", []),
        (always("401"), Unauthorized, "unknown or revoked", []),
    ],
    ids=["429", "500", "reset", "timeout", "401", "500 at once", "all 500", "all 401"],
)
def test_what_the_api_did_not_do_is_told_and_done_next(
    scene: Scene, script: Script, error: type[FactoryError], said: str, done: list[str]
) -> None:
    with bad_api(scene, script) as bad, pytest.raises(error, match=said) as ended:
        bad.apply()
    assert type(ended.value) is error
    told = scene.told()
    assert (told["phase"], told["done"], told["undone"]) == ("failed", done, sorted({A, B} - set(done)))
    assert said.split(",", maxsplit=1)[0] in told["reason"]
    assert scene.state.holder() is None
    settle(scene)


def test_an_object_whose_answer_was_lost_is_imported(scene: Scene) -> None:
    with bad_api(scene, making("drop_after", 2)) as bad, pytest.raises(Unreachable, match="it is unknown") as ended:
        bad.apply()
    assert "it is unknown whether the object was created" in str(ended.value)
    told = scene.told()
    assert (told["phase"], told["done"], told["undone"]) == ("failed", [A], [B])
    assert "b.red.test" in names(scene)
    with pytest.raises(FactoryError, match="identical record already exists"):
        settle(scene)
    (zone,) = scene.world.double.result("GET", "/zones")
    records = scene.world.double.result("GET", f"/zones/{zone['id']}/dns_records")
    (made,) = [item["id"] for item in records if item["name"] == "b.red.test"]
    known = f'import {{\n  to = {B}\n  id = "{zone["id"]}/{made}"\n}}\n'
    (scene.root / "main.tf").write_text(TWO + known)
    shutil.rmtree(scene.folder / "again")
    settle(scene)


@pytest.mark.matrix(2)
@pytest.mark.parametrize(
    ("script", "error"),
    [
        (always("429"), Unreachable),
        (always("500"), Unreachable),
        (always("reset"), Unreachable),
        (always("html"), ToolFailed),
        (always("401"), Unauthorized),
        (lambda _, path, __: "500" if "dns_records" in path else "pass", Unreachable),
    ],
    ids=["429", "500", "reset", "html", "401", "500 in the middle"],
)
def test_a_plan_against_an_api_that_fails_leaves_nothing(
    scene: Scene, script: Script, error: type[FactoryError]
) -> None:
    before = scene.seen()
    with bad_api(scene, script) as bad, pytest.raises(error, match="terraform plan failed") as ended:
        planning.make(bad.stack, scene.folder / "again", lock_state=True)
    assert type(ended.value) is error
    assert scene.seen() == before
    assert not (scene.folder / "again" / planning.MANIFEST).exists()
    settle(scene)


@pytest.mark.matrix(1)
@pytest.mark.parametrize("token", ["local-unknown", "local-reader"])
def test_a_token_that_may_not_write_changes_nothing(scene: Scene, token: str) -> None:
    before = scene.seen()
    with pytest.raises(Unauthorized):
        scene.given(CLOUDFLARE_API_TOKEN=token).apply()
    assert (scene.told()["phase"], scene.told()["done"]) == ("failed", [])
    assert scene.seen() == before
    settle(scene)


def test_a_token_of_the_state_that_is_wrong_begins_nothing(scene: Scene) -> None:
    before = scene.seen()
    with pytest.raises(Unauthorized, match="the state backend does not accept the token"):
        scene.given(TF_HTTP_PASSWORD="wrong").apply()
    assert scene.told()["phase"] == "refused"
    assert scene.seen() == before
    scene.apply()


def recover(scene: Scene) -> None:
    """Do as ``factory infra recover``: take the lock off, and write the state that was not saved, where it is newer."""
    held = scene.state.holder()
    assert held is not None, "the lock stays, so that nobody writes before a person has looked"
    scene.state.unlock(held)
    unsaved = (scene.out / applying.ERRORED).read_bytes()
    if identity(unsaved).serial > scene.state.identity().serial:
        with scene.state.held(who="recover", operation="restore", minutes=1) as lock:
            scene.state.write(unsaved, lock)
    assert scene.state.identity() == identity(unsaved)


@pytest.mark.matrix(2)
@pytest.mark.parametrize(
    ("deed", "error", "said"),
    [
        ("500", Unreachable, "giving up"),
        ("429", Unreachable, "giving up"),
        ("401", Unauthorized, "HTTP error: 401"),
        ("reset", Unreachable, "giving up"),
        ("drop_after", Unreachable, "giving up"),
    ],
)
def test_a_state_that_could_not_be_saved_is_kept_with_its_lock(
    scene: Scene, deed: Deed, error: type[FactoryError], said: str
) -> None:
    with bad_state(scene, deed) as bad, pytest.raises(error, match=f"Failed to save state: .*{said}") as ended:
        bad.apply()
    assert type(ended.value) is error
    told = scene.told()
    assert (told["phase"], told["done"], told["undone"]) == ("failed", [A, B], [])
    with pytest.raises(Conflict, match="by job 1 of pipeline 1 for apply"):
        scene.retried(TWO).apply()
    recover(scene)
    settle(scene)


def test_a_terraform_that_is_killed_keeps_the_lock(scene: Scene) -> None:
    pid = scene.folder / "pid"
    killing = scene.wrapped(f'echo $$ > {pid}; exec {TERRAFORM} "$@"')
    with bad_api(killing, making("hang", 2)) as hanging:

        def kill() -> None:
            wait_for(lambda: "a.red.test" in names(scene))
            os.kill(int(pid.read_text()), signal.SIGKILL)

        thread = threading.Thread(target=kill)
        thread.start()
        with pytest.raises(Killed, match="ended by signal 9"):
            hanging.apply()
        thread.join()
    told = scene.told()
    assert told["phase"] == "failed"
    assert B in told["undone"]
    assert scene.state.holder() is not None


def fill(folder: Path) -> None:
    """Leave no room on the disk."""
    with pytest.raises(OSError, match="No space left"):
        (folder / "ballast").write_bytes(bytes(2**20))


def on(scene: Scene, disk: Path) -> Scene:
    """Give the scene with its plan on another disk."""
    shutil.copytree(scene.out, disk / "plan")
    return replace(scene, folder=disk)


def test_a_disk_that_is_full_before_the_apply_begins_nothing(scene: Scene, small_disk: Path) -> None:
    small = on(scene, small_disk)
    fill(small_disk)
    before = scene.seen()
    with pytest.raises(DiskFull, match="no space left"):
        small.apply()
    assert scene.seen() == before
    (small_disk / "ballast").unlink()
    small.apply()


def test_a_disk_that_fills_up_just_before_the_apply_begins_nothing(scene: Scene, small_disk: Path) -> None:
    small = replace(on(scene, small_disk), first=lambda: fill(small_disk))
    before = scene.seen()
    with pytest.raises(DiskFull, match="no space left"):
        small.apply()
    assert scene.seen() == before
    (small_disk / "ballast").unlink()
    replace(small, first=lambda: None).apply()


def test_a_disk_that_fills_up_during_the_apply_loses_no_state(scene: Scene, small_disk: Path) -> None:
    ballast = small_disk / "ballast"
    small = on(scene, small_disk).wrapped(f"cat /dev/zero > {ballast} 2> /dev/null")
    with pytest.raises(DiskFull, match="no space left"):
        small.apply()
    assert small.told()["phase"] in {"started", "failed"}
    assert {"a.red.test", "b.red.test"} <= names(scene)
    assert scene.state.holder() is None
    ballast.unlink()
    with pytest.raises(ApplyUnknown, match="did not finish"):
        small.apply()
    settle(scene)
