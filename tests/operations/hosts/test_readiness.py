"""What a host says counts only if its own key signed it, for this environment, after it had read this plan."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from factory.errors import EvidenceInvalid
from factory.evidence import sign, statement
from factory.evidence.transparency_log import Entry
from factory.host import runnable
from factory.operations.hosts import readiness, waiting
from factory.operations.hosts.readiness import Needed, Readiness, ReadyRelease
from factory.system import canonical
from factory.worktrees.repository import Author, Mirror
from tests.evidence import examples
from tests.evidence.examples import commit, digest, signer

KEYS = {"box": signer("box").public}
NEEDS = Needed("factory/shop", "production", 5, {"shop-1": digest("one"), "mail-1": digest("two")})
RELEASES = (ReadyRelease("shop-1", digest("one"), True), ReadyRelease("mail-1", digest("two"), True))
SAID = Readiness("factory/shop", "production", "box", 6, "root of 6", RELEASES)


def root_at(size: int) -> str:
    return f"root of {size}" if size <= 9 else ""


def unmet(said: Readiness, *, by: str = "box", needs: Needed = NEEDS) -> tuple[str, ...]:
    return readiness.unmet(needs, KEYS, {"box": readiness.seal(said, signer(by))}, root_at)


def test_a_host_that_runs_what_the_plan_names_is_ready() -> None:
    assert unmet(SAID) == ()
    assert unmet(replace(SAID, size=9, root="root of 9", releases=(*RELEASES, ReadyRelease("old", "", False)))) == ()


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"project": "factory/other"}, "the host box says what box runs for production of factory/other"),
        ({"environment": "staging"}, "the host box says what box runs for staging of factory/shop"),
        ({"host": "other"}, "the host box says what other runs for production of factory/shop"),
        ({"size": 5, "root": "root of 5"}, "the host box has read 5 statements, and the plan is statement 5"),
        ({"root": "root of 7"}, "the host box has read another log"),
        ({"size": 10, "root": ""}, "the host box has read another log"),
        ({"size": 10, "root": "root of 10"}, "the host box has read another log"),
        ({"releases": RELEASES[:1]}, "on the host box, mail-1 does not run"),
        ({"releases": (RELEASES[0], replace(RELEASES[1], archive=digest("x")))}, "on the host box, mail-1 is another"),
        ({"releases": (RELEASES[0], replace(RELEASES[1], ready=False))}, "mail-1 is not ready; there, `factory"),
    ],
)
def test_what_is_not_what_the_plan_needs_is_said(changes: dict[str, Any], why: str) -> None:
    [found] = unmet(replace(SAID, **changes))
    assert why in found


def test_only_its_own_key_and_only_this_kind_of_envelope_count() -> None:
    assert "is not trusted" in unmet(SAID, by="other")[0]
    assert readiness.unmet(NEEDS, KEYS, {}, root_at) == ("the host box has said nothing yet",)
    payload = json.dumps({}).encode()
    as_statement = canonical.encode(sign.seal(payload, signer("box")))
    assert "payload type" in readiness.unmet(NEEDS, KEYS, {"box": as_statement}, root_at)[0]


@given(st.binary(max_size=200) | st.integers(0, 2000))
def test_no_bytes_but_the_signed_ones_count(change: bytes | int) -> None:
    content = readiness.seal(SAID, signer("box"))
    other = change if isinstance(change, bytes) else content[: change % len(content)]
    with pytest.raises(EvidenceInvalid):
        readiness.opened(other, KEYS["box"])
    assert readiness.opened(content, KEYS["box"]) == SAID


def entries(*values: Mapping[str, Any]) -> list[Entry]:
    return [
        Entry(index, statement.kind_of(value), digest(str(index)), {"signatures": []}, value)
        for index, value in enumerate(values)
    ]


def plan(mr: int, archive: str = "") -> dict[str, Any]:
    made = examples.make("plan", issue=mr - 5, mr=mr)
    named = [("shop", digest(archive))] if archive else []
    subjects = {**statement.subjects_of(made), **runnable.subjects(made["predicate"]["commit"], named)}
    return statement.build("plan", subjects=subjects, predicate=made["predicate"])


def needed(log: list[Entry], manifest: str, *, environment: str = "production") -> Needed | None:
    return readiness.needed(log, project="factory/shop", environment=environment, manifest=manifest)


def test_a_plan_needs_the_releases_that_it_names() -> None:
    log = entries(examples.make("merge"), plan(12, "one"))
    manifest = log[1].predicate["manifest"]
    assert needed(log, manifest) == Needed(
        "factory/shop", "production", 1, {f"shop-{commit('merge 12')}": digest("one")}
    )
    assert needed(log, digest("other")) is None
    assert needed(log, manifest, environment="staging") is None


def test_a_plan_that_goes_back_needs_the_releases_of_that_commit() -> None:
    back = plan(14)
    predicate = {
        **{name: back["predicate"][name] for name in ("project", "issue", "time", "merge_request", "pipeline")},
        "key": "rollback/1",
        "environment": "production",
        "from_commit": commit("merge 13"),
        "commit": commit("merge 12"),
        "by": "owner",
        "reason": "slow",
    }
    subjects = {"commit": f"gitCommit:{commit('merge 12')}"}
    rollback = statement.build("rollback", subjects=subjects, predicate=predicate)
    log = entries(plan(12, "one"), plan(13, "two"), rollback, back)
    found = needed(log, back["predicate"]["manifest"])
    assert found is not None
    assert found.releases == {f"shop-{commit('merge 12')}": digest("one")}


def test_a_saying_that_is_too_large_is_not_read_and_does_not_count(tmp_path: Path) -> None:
    mirror = Mirror(tmp_path / "mirror.git", "")
    mirror.ensure()
    content = readiness.seal(SAID, signer("box")) + b" " * 2**24
    head = mirror.commit({readiness.FILE: content}, parent=None, message="x", author=Author("box", "box@localhost"))
    found = waiting.said_at(mirror.path, head)
    assert found == content[: readiness.LARGEST + 1]
    (why,) = readiness.unmet(NEEDS, KEYS, {"box": found}, root_at)
    assert why == "what the host box says does not count: ready.json has more than 1024 KiB"
