"""What a run will make is written down before it is made, and found again."""

from dataclasses import replace
from pathlib import Path

import pytest

from factory.errors import Conflict, ProofFailed
from factory.operations.prove import deadline, record, zone_state
from factory.operations.prove.deadline import Deadline
from factory.system import clock


def test_every_name_has_the_random_suffix() -> None:
    made, other = (record.plan("https://gitlab.example", parent="crowd", group=True) for _ in range(2))
    assert made.group == f"crowd/factory-prove-{made.suffix}"
    assert all(path.startswith(f"{made.group}/") for path in made.projects)
    assert made.suffix in made.tunnel("staging")
    assert made.suffix != other.suffix
    alone = record.plan("https://gitlab.example", parent="jane", group=False)
    assert alone.group == ""
    assert all(path.startswith(f"jane/factory-prove-{alone.suffix}") for path in alone.projects)


def test_a_record_is_found_until_its_folder_is_gone(tmp_path: Path) -> None:
    env = {"XDG_STATE_HOME": str(tmp_path)}
    record.require_none(env)
    made = replace(
        record.plan("https://gitlab.example", parent="crowd", group=True), zone="example.net", before=("record A x",)
    )
    place = record.folder(env) / made.suffix
    record.write(place, made)
    assert record.left(env) == {place: made}
    with pytest.raises(Conflict, match=made.group):
        record.require_none(env)


def test_a_deadline_is_over_at_its_moment() -> None:
    whole = deadline.begin()
    assert 890 < whole.left() <= deadline.SECONDS == 900
    assert whole.earlier(deadline.CLEAN_UP).left() < whole.left() - 100
    with pytest.raises(ProofFailed, match="time of the run is over"):
        Deadline(clock.monotonic() - 1).left()


def test_a_zone_that_differs_is_told() -> None:
    zone_state.require_equal(["record A x"], ["record A x"])
    with pytest.raises(ProofFailed, match="no longer there: record A x; new: tunnel y"):
        zone_state.require_equal(["record A x"], ["tunnel y"])
