"""A host on a real git repository, real archives and real processes: it runs what the evidence orders, nothing else."""

import base64
import http.client
import json
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from factory.apps import release_log, unix_http
from factory.apps.running import RunMachine
from factory.errors import InvalidInput, MachineError, ToolTimeout
from factory.evidence.transparency_log import BRANCH
from factory.host import orders, requests, supervisor
from factory.host.announcement import Announcement, own_key
from factory.host.sockets import Sockets, short
from factory.host.status import STATUS
from factory.host.supervisor import Supervisor
from factory.model.release import RELEASE_PATH
from factory.operations.hosts import readiness
from factory.system import canonical
from factory.worktrees.repository import Author, Mirror
from tests.evidence import examples
from tests.host.place import CHAIN, DEPLOYED, SERVER, Place, chain, packed
from tests.servers import TOOL_PATH, git, wait_for


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with tempfile.TemporaryDirectory() as short_folder:  # a socket's path is short
        made = Place(tmp_path, Path(short_folder))
        yield made
        made.host.close()


def test_it_runs_what_the_evidence_orders_and_nothing_before(place: Place) -> None:
    assert place.host.look().releases == ()
    content = packed(place.folder / "one")
    name = f"shop-{examples.commit('merge 12')}"
    (place.archives / name).write_bytes(content)
    place.record(*chain(12, content, CHAIN[:-1]))
    assert place.host.look().releases == (), "nobody has approved the deployment"
    assert place.asked == []
    place.record(chain(12, content)[-1])
    [found] = place.host.look().releases
    assert (found.release, found.archive, found.ready) == (name, canonical.digest(content), True)
    assert place.get(Path(found.socket)) == (200, name.encode())
    status, told = place.get(place.sockets / f"{short(name)}.release.sock", RELEASE_PATH)
    assert (status, json.loads(told)) == (200, {"release": name})
    assert place.host.look().size == len(CHAIN)
    assert place.asked == [name], "what is stored is not fetched again"


POLITE = """
import os, signal, sys, threading, http.server, socketserver

asked = threading.Event()

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/slow":
            print("asked", flush=True)
            asked.wait()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"whole")
    def log_message(self, *words):
        pass

class UnixServer(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    pass

def end(*_):
    print("ending", flush=True)
    threading.Thread(target=server.shutdown).start()
    asked.set()

signal.signal(signal.SIGTERM, end)
if "SOCKET" in os.environ:
    server = UnixServer(os.environ["SOCKET"], Handler)
else:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler)
    server.daemon_threads = False
server.serve_forever()
server.server_close()
"""
STUBBORN = SERVER.replace(
    "class Handler", "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n\nclass Handler"
)


@pytest.mark.parametrize("listen", ["socket", "port"])
def test_a_release_that_is_stopped_may_answer_what_it_was_asked(tmp_path: Path, listen: str) -> None:
    made = Supervisor(tmp_path / "releases", RunMachine(TOOL_PATH, ()), grace_seconds=60)
    made.keep("shop-1", packed(tmp_path / "source", POLITE, listen=listen))
    socket = made.socket("shop-1")

    def printed() -> list[str]:
        return [line for log in supervisor.logs(tmp_path / "releases") for line in release_log.lines(log, 9)]

    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(unix_http.get, socket, "/slow", seconds=60)
        wait_for(lambda: "asked" in printed())
        made.close()
        assert answer.result() == (200, b"whole")
    assert printed() == ["asked", "ending"]


def test_a_release_that_ignores_sigterm_is_killed_after_its_time(tmp_path: Path) -> None:
    made = Supervisor(tmp_path / "releases", RunMachine(TOOL_PATH, ()), grace_seconds=0.2)
    for number in (1, 2):
        made.keep(f"shop-{number}", packed(tmp_path / str(number), f"{STUBBORN}# {number}"))
    sockets = [made.socket(f"shop-{number}") for number in (1, 2)]
    made.stop("shop-1")
    assert made.running("shop-1") is None
    assert unix_http.get(sockets[1], "/", seconds=5)[0] == 200
    made.close()
    assert made.running("shop-2") is None
    with pytest.raises(OSError, match=r"refused|No such"):
        unix_http.get(sockets[1], "/", seconds=5)


def test_what_is_stored_under_the_name_with_other_bytes_is_replaced(place: Place) -> None:
    name = place.deliver(12)
    earlier = Supervisor(place.folder / "releases", RunMachine(TOOL_PATH, ()))
    earlier.keep(name, packed(place.folder / "other", SERVER + "# other\n"))
    earlier.close()
    [found] = place.host.look().releases
    assert (found.archive, found.ready) == (canonical.digest((place.archives / name).read_bytes()), True)
    assert place.asked == [name]


def test_the_release_before_stays_until_two_later_ones_are_verified(place: Place) -> None:
    names = [place.deliver(mr, DEPLOYED) for mr in (12, 13, 14)]
    assert [item.release for item in place.host.look().releases] == sorted(names[1:])
    assert place.asked == names[1:]
    last = place.deliver(15)
    roles = {item.release: item.role for item in place.host.look().releases}
    assert roles == {names[1]: "before", names[2]: "deployed", last: "next"}, "not yet verified"
    place.record(*chain(15, (place.archives / last).read_bytes(), DEPLOYED)[len(CHAIN) :])
    assert {item.release for item in place.host.look().releases} == {names[2], last}
    assert not place.socket(names[1]).exists()
    assert place.get(place.socket(last)) == (200, last.encode())


def test_an_archive_that_cannot_be_had_or_does_not_start_leaves_the_others_running(place: Place) -> None:
    good = place.deliver(12)
    bad = place.deliver(13, code="raise SystemExit('no such table')")
    gone = place.deliver(14)
    (place.archives / gone).unlink()
    found = {item.release: item for item in place.host.look().releases}
    assert {name: item.ready for name, item in found.items()} == {good: True, bad: False, gone: False}
    assert found[bad].why == "the release ended with 1 before it answered"
    [log] = [path for path in supervisor.logs(place.folder / "releases") if path.stem == bad]
    assert release_log.lines(log, 9) == ["no such table"], "who asks why may read it"
    assert "no such archive" in found[gone].why
    asked = len(place.asked)
    place.host.look()
    assert len(place.asked) == asked, "it is not tried again at once"


def test_a_log_that_was_rolled_back_removed_or_forged_changes_nothing(place: Place) -> None:
    name = place.deliver(12, DEPLOYED)
    place.host.look()
    values = list(place.values)
    place.record(before=len(CHAIN))
    assert "had 9 entries before and has 7 now" in place.host.look().problem
    git("update-ref", "-d", f"refs/heads/{BRANCH}", cwd=place.remote)
    assert "is gone" in place.host.look().problem
    forged = examples.recorded([*values, *chain(13, b"forged")], by="mallory")
    commit = place.writer.commit(dict(forged), parent=None, message="log", author=Author("a", "a@b"))
    git("push", "-q", "-f", str(place.remote), f"{commit}:refs/heads/{BRANCH}", cwd=place.writer.path)
    found = place.host.look()
    assert found.problem
    assert [item.release for item in found.releases] == [name]
    assert place.get(place.socket(name)) == (200, name.encode())
    place.values = []
    place.record(*values)
    assert place.host.look().problem == ""


def test_after_a_restart_with_gitlab_away_what_ran_runs_again(place: Place) -> None:
    name = place.deliver(12, DEPLOYED)
    place.host.look()
    place.host.close()
    place.remote.rename(place.folder / "away.git")
    place.host = place.made()
    place.host.start_stored()
    found = place.host.look()
    assert found.problem
    assert [(item.release, item.ready) for item in found.releases] == [(name, True)]
    assert place.get(place.socket(name)) == (200, name.encode())
    stored = next((place.folder / "releases").glob("*.archive"))
    place.host.close()
    stored.write_bytes(b"other bytes")
    place.host = place.made()
    place.host.start_stored()
    [item] = place.host.look().releases
    assert not item.ready
    assert "was changed" in item.why


def test_a_release_that_fills_the_disk_is_stopped_with_its_reason_and_the_one_before_serves(place: Place) -> None:
    before = place.deliver(12, DEPLOYED)
    place.host.look()
    filling = """
import os
for name in ("one", "two"):
    with open(os.environ["HOME"] + "/" + name, "wb") as file:
        file.write(bytes(6 * 2**20))
"""
    name = place.deliver(13, code=filling + SERVER, disk_mb=8)
    place.host.look()

    def stopped() -> bool:
        place.host.restart_ended()
        return any("MiB on disk, and `limits.disk_mb` allows 8" in line for line in place.said)

    wait_for(stopped)
    status = {item.release: item for item in place.host.look().releases}
    assert not status[name].ready
    assert status[before].ready
    assert place.get(place.socket(before))[0] == 200


def test_a_release_that_ends_is_started_again_and_given_up_loudly(place: Place) -> None:
    name = place.deliver(12)
    place.host.look()
    for _ in range(3):
        with suppress(OSError, http.client.HTTPException):
            place.get(place.socket(name), "/end")
        wait_for(lambda: _dead(place, name))
        place.host.restart_ended()
        assert place.get(place.socket(name)) == (200, name.encode())
    with suppress(OSError, http.client.HTTPException):
        place.get(place.socket(name), "/end")
    wait_for(lambda: _dead(place, name))
    place.host.restart_ended()
    assert "was started 4 times" in place.said[-1]
    status = json.loads((place.folder / "state" / STATUS).read_text())
    assert status["releases"][0]["ready"] is False


def test_what_a_release_prints_outlives_its_restart_and_is_out_of_its_reach(place: Place) -> None:
    code = SERVER.replace("import os,", 'print("begun", flush=True)\nimport os,')
    name = place.deliver(12, code=code)
    place.host.look()
    [log] = supervisor.logs(place.folder / "releases")
    assert (log.stem, release_log.lines(log, 9)) == (name, ["begun"])
    with suppress(OSError, http.client.HTTPException):
        place.get(place.socket(name), "/end")
    wait_for(lambda: _dead(place, name))
    place.host.restart_ended()
    assert place.get(place.socket(name)) == (200, name.encode())
    assert release_log.lines(log, 9) == ["begun", "begun"]
    assert not log.is_relative_to(place.socket(name).resolve().parent)


def test_a_restart_that_is_asked_for_is_done_once_and_for_stored_releases_alone(place: Place) -> None:
    name = place.deliver(12)
    place.host.look()
    before = place.socket(name).resolve().stat().st_ino
    folder = place.folder / "state"
    with pytest.raises(ToolTimeout, match="did not answer"):
        requests.restart(folder, name, seconds=0)
    assert requests.taken(folder) == [], "a request that nobody took up is withdrawn"
    for asked in (name, "other-1"):
        (folder / "restart" / asked).touch()
    place.host.restart_ended()
    assert place.get(place.socket(name)) == (200, name.encode())
    assert place.socket(name).resolve().stat().st_ino != before
    assert place.said[-2:] == [f"{name} is started again, as was asked", f"{name} runs"]
    place.host.restart_ended()
    assert place.said[-1] == f"{name} runs"


def _dead(place: Place, name: str) -> bool:
    try:
        place.get(place.sockets / f"{short(name)}.release.sock", RELEASE_PATH)
    except OSError:
        return True
    return place.get(place.sockets / f"{short(name)}.release.sock", RELEASE_PATH)[0] == 503


def test_a_checkpoint_that_cannot_be_kept_runs_nothing(place: Place) -> None:
    place.deliver(12)
    (place.folder / "state" / "x").touch()
    for path in (place.folder / "state").glob("*.json"):
        path.unlink()
    kept = place.folder / "file"
    kept.write_text("")
    mirror = Mirror(place.folder / "mirror", str(place.remote))
    mirror.fetch("")
    with pytest.raises(MachineError, match="cannot be written"):
        orders.read(mirror, examples.trust(), kept, project="factory/shop", environment="production")


def test_it_says_on_its_branch_what_it_runs_signed_and_once_for_each_change(place: Place) -> None:
    key = own_key(place.folder / "state")
    assert own_key(place.folder / "state").public == key.public
    mirror = Mirror(place.folder / "mirror", str(place.remote))
    announcement = Announcement(mirror, "", "box", key)
    host = place.made(announcement.publish)
    name = place.deliver(12)
    host.look()
    host.look()
    branch = readiness.branch("production", "box")
    place.writer.fetch("")
    assert len(place.writer.messages(f"refs/remotes/origin/{branch}")) == 1
    said = readiness.opened(place.writer.read(str(place.writer.head(branch)), readiness.FILE), key.public)
    assert (said.host, said.size) == ("box", len(CHAIN))
    assert [(item.release, item.archive, item.ready) for item in said.releases] == [
        (name, canonical.digest((place.archives / name).read_bytes()), True)
    ]
    git("update-ref", "-d", f"refs/heads/{branch}", cwd=place.remote)
    host.look()
    assert place.writer.resolve(f"refs/remotes/origin/{branch}") is not None
    place.writer.fetch("")
    assert place.writer.head(branch) is not None, "who deletes the branch silences it until the next look alone"
    host.close()


def test_nothing_that_an_app_says_leaves_the_machine(place: Place) -> None:
    mirror = Mirror(place.folder / "mirror", str(place.remote))
    host = place.made(Announcement(mirror, "", "box", own_key(place.folder / "state")).publish)
    place.deliver(12, code='print("PASSWORD=hunter2", flush=True)\nraise SystemExit(3)\n')
    status = host.look()
    host.close()
    assert status.releases[0].why == "the release ended with 3 before it answered"
    assert any("hunter2" in line for line in place.said)
    place.writer.fetch("")
    [said] = place.writer.tree(str(place.writer.head(readiness.branch("production", "box")))).values()
    payload = base64.b64decode(json.loads(said)["payload"])
    assert b'"ready":false' in payload
    assert b"hunter2" not in payload


def test_a_host_that_may_not_push_says_so_and_runs_on(place: Place) -> None:
    mirror = Mirror(place.folder / "mirror", str(place.remote))
    host = place.made(Announcement(mirror, "", "box", own_key(place.folder / "state")).publish)
    name = place.deliver(12)
    hook = place.remote / "hooks" / "pre-receive"
    hook.write_text("#!/bin/sh\necho you may not push >&2\nexit 1\n")
    hook.chmod(0o755)
    status = host.look()
    assert "GitLab refused the push to factory/hosts/production/box" in status.problem
    assert place.get(place.socket(name)) == (200, name.encode())
    hook.unlink()
    assert host.look().problem == ""
    host.close()


def test_sockets_have_names_that_fit(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="too long"):
        Sockets(tmp_path / ("x" * 60)).path("a" * 40 + "-" + "0" * 40)
    with pytest.raises(MachineError, match="cannot write"):
        Sockets(Path("/proc/none/here"))
