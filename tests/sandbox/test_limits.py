"""Limits: what holds them, where control groups are made, what a watcher sees. The escape suite tries to break them."""

import os
from pathlib import Path

import pytest

from factory.sandbox import cgroups, launch, limits, watch
from factory.sandbox.launch import Launch
from factory.sandbox.limits import Limits
from factory.system import process
from tests.servers import TOOL_PATH, wait_for

V1 = ["9:name=systemd:/", "8:pids:/", "4:memory:/boxes/one", "0::/"]
V1_MOUNTS = [
    "30 20 0:26 / /sys/fs/cgroup/pids rw,relatime - cgroup cgroup rw,pids",
    "31 20 0:27 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory",
    "32 20 0:28 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,name=systemd",
    "33 20 0:29 / / rw - ext4 /dev/vda rw",
]


def test_groups_are_made_below_the_processes_own() -> None:
    assert cgroups.parents(V1, V1_MOUNTS) == [
        (Path("/sys/fs/cgroup/pids"), frozenset({"pids"}), 1),
        (Path("/sys/fs/cgroup/memory/boxes/one"), frozenset({"memory"}), 1),
    ]


def test_version_2_takes_the_own_group_or_one_beside_it() -> None:
    found = cgroups.parents(["0::/user/app.scope"], ["29 24 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw,nsdelegate"])
    assert [(str(folder), version) for folder, _, version in found] == [
        ("/sys/fs/cgroup/user/app.scope", 2),
        ("/sys/fs/cgroup/user", 2),
    ]


def test_a_group_of_a_container_is_seen_from_its_own_root() -> None:
    mounted = ["29 24 0:26 /docker/abc /sys/fs/cgroup rw - cgroup2 cgroup2 rw"]
    found = cgroups.parents(["0::/docker/abc/inner"], mounted)
    assert found[0][0] == Path("/sys/fs/cgroup/inner")


def test_what_cannot_be_bounded_is_not_held(tmp_path: Path) -> None:
    places = [(tmp_path / "absent", frozenset({"memory", "pids"}), 2)]
    assert cgroups.make_below(places, {"processes": 5}) == cgroups.Groups()


def test_groups_of_the_dead_are_swept_and_those_of_the_living_kept(tmp_path: Path) -> None:
    dead, living = tmp_path / "factory-999999999-1-1", tmp_path / "factory-1-1-1"
    mine = tmp_path / f"factory-{os.getpid()}-{process.started_at(os.getpid())}-999999"
    for folder in (dead, living, mine):
        folder.mkdir()
    made = cgroups.make_below([(tmp_path, frozenset({"pids"}), 2)], {"processes": 5})
    assert (made.folders[0] / "pids.max").read_text() == "5"
    assert not dead.exists()
    assert not living.exists()  # process 1 did not start at that time
    assert mine.exists()


def test_each_limit_says_how_it_is_held() -> None:
    held = limits.hold(Limits(2**30, 50, 2**20, 64, 10), contained=True, root=os.geteuid() == 0)
    try:
        assert set(held.means) == {"memory_bytes", "processes", "file_bytes", "open_files", "cpu_seconds"}
        assert set(held.means.values()) <= {
            "cgroup",
            "rlimit of each process",
            "rlimit of the user namespace",
            "watched",
        }
    finally:
        cgroups.leave(held.groups)
    assert limits.hold(Limits(), contained=True, root=False).means == {}


def test_only_what_nothing_else_holds_is_watched() -> None:
    means = {"memory_bytes": "watched", "processes": "cgroup"}
    assert limits.watched(Limits(memory_bytes=5, processes=6), means) == Limits(memory_bytes=5)


def test_a_launch_that_cannot_enter_its_group_does_not_start(tmp_path: Path) -> None:
    prepared = launch.prepare(Launch(("true",), tmp_path, {"PATH": TOOL_PATH}, limits=Limits(processes=50)))
    if prepared.limits["processes"] != "cgroup":
        pytest.skip("this machine has no control groups for us")
    cgroups.leave(prepared.groups)
    assert process.run(prepared.argv, env=prepared.env, check=False).returncode == 125


def test_the_watcher_counts_a_family() -> None:
    group = process.start(["sh", "-c", "sleep 30 & sleep 30 & sleep 30 & wait"], env={"PATH": TOOL_PATH})
    try:
        wait_for(lambda: watch.used(group.popen.pid)[2] >= 4)
        assert watch.over(group.popen.pid, Limits(processes=2)) is not None
        assert watch.over(group.popen.pid, Limits(memory_bytes=1)) is not None
        assert watch.over(group.popen.pid, Limits(memory_bytes=2**40, processes=100, cpu_seconds=60)) is None
    finally:
        group.kill()
    assert watch.used(group.popen.pid)[2] == 0
