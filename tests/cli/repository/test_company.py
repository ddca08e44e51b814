"""A company from nothing to a deployed app: an installed factory, a fresh home, an ordinary repository."""

import json
import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from factory.apps import unix_http
from factory.operations.repository import toolkit_wheel
from tests.apps import layouts, scaffolds
from tests.cli.repository.test_first_hour import UV, Person, written
from tests.operations.repository.test_own_suites import locked as locked_node_app
from tests.servers import PATIENCE, git, wait_for

WEB = '''"""The HTTP server."""

import json
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from coupons import discount
from markupsafe import escape


def answer(path: str) -> dict[str, object]:
    """Return the JSON of a path."""
    if path == "/version":
        return {"release": os.environ["RELEASE"]}
    return {"discount": discount(escape(path.rpartition("/")[2]))}


class Handler(BaseHTTPRequestHandler):
    """Answers GET requests."""

    def do_GET(self) -> None:
        """Answer one."""
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(answer(self.path)).encode())


def server(port: int) -> ThreadingHTTPServer:
    """Return the server of a port."""
    return ThreadingHTTPServer(("127.0.0.1", port), Handler)
'''
COUPONS = """CODES = {"FALL": 20}


def discount(code):
    return CODES.get(code, 0)


def best():
    found = max(CODES.values())
    return found


def worst():
    found = min(CODES.values())
    return found


def known():
    found = sorted(CODES)
    return found


def number():
    found = len(CODES)
    return found
"""
TESTS = """import threading
from urllib.request import urlopen

import coupons
import markupsafe
import pytest

from web import server


@pytest.fixture
def base(monkeypatch):
    monkeypatch.setenv("RELEASE", "shop-1")
    with server(0) as found:
        threading.Thread(target=found.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{found.server_port}"
        found.shutdown()


@pytest.mark.parametrize(("code", "percent"), [("FALL", 20), ("none", 0)])
def test_discount(base, code, percent):
    assert urlopen(f"{base}/coupons/{code}").read() == b'{"discount": %d}' % percent


def test_version(base):
    assert urlopen(f"{base}/version").read() == b'{"release": "shop-1"}'


def test_best():
    assert coupons.best() == coupons.worst() == 20
    assert (coupons.known(), coupons.number()) == (["FALL"], 1)


def test_the_packages_are_those_of_the_lock():
    assert markupsafe.__version__ == "3.0.2"
"""
FILES = {
    "src/__main__.py": 'import os\n\nfrom web import server\n\nserver(int(os.environ["PORT"])).serve_forever()\n',
    "src/coupons.py": COUPONS,
    "src/web.py": WEB,
    "tests/test_web.py": TESTS,
}


def locked(package: str, folder: Path) -> str:
    """Return the lock of a package, with the hashes of its wheels."""
    argv = [str(UV), "pip", "compile", "-q", "--no-header", "--no-annotate", "--generate-hashes", "-"]
    done = subprocess.run(
        argv,
        input=package,
        env=os.environ | {"HOME": str(folder)},
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


@pytest.fixture
def person(tmp_path: Path) -> Iterator[Person]:
    """Return somebody with the repository of an app, whose company is in the folder ``acme`` beside it."""
    made = Person(tmp_path)
    made.home.mkdir()
    (made.home / ".gitconfig").write_text("[user]\nname = Jane\nemail = jane@example.com\n")
    written(tmp_path / "shop", FILES | {"requirements.txt": locked("markupsafe==3.0.2", tmp_path)})
    git("init", "-q", "-b", "main", cwd=tmp_path / "shop")
    git("add", "-A", cwd=tmp_path / "shop")
    git("commit", "-qm", "Start the shop", cwd=tmp_path / "shop")
    (tmp_path / toolkit_wheel.name()).write_bytes(toolkit_wheel.pack())
    made.types("uv", "tool", "install", "-q", str(tmp_path / toolkit_wheel.name()), cwd=tmp_path)
    made.types("factory", "init", "acme", cwd=tmp_path)
    made.shop = tmp_path / "acme"
    yield made
    subprocess.run(["factory", "down"], cwd=made.shop, env=made.env(), capture_output=True, check=False)


def read(person: Person, *argv: str) -> "list[dict[str, object]]":
    """Return what a command that reads prints as JSON."""
    done = subprocess.run(
        ["factory", *argv, "--json"], cwd=person.shop, env=person.env(), capture_output=True, text=True, check=True
    )
    found: list[dict[str, object]] = json.loads(done.stdout)
    return found


def merged(person: Person, number: int) -> str:
    """Wait until a merge request is ready, approve it and merge it; return what that printed."""
    wait_for(lambda: "is ready for review" in person.types("factory", "work", "--once"))
    person.types("factory", "mr", "approve", str(number))
    said = person.types("factory", "work", "--once")
    assert f"!{number} is merged" in said
    return said


@pytest.mark.long
def test_from_nothing_to_a_deployed_app(person: Person, tmp_path: Path) -> None:
    installed = str(tmp_path / "installed")
    assert "next: factory app add PATH" in person.types("factory", "up", FACTORY_ENVIRONMENTS=installed)
    assert person.types("factory", "up").startswith("already up")
    said = person.types("factory", "app", "add", "../shop")
    assert "not deployed: this repository has no infrastructure yet, which `factory infra add DOMAIN` adds" in said
    merged(person, 1)
    shown = person.types("factory", "mr", "show", "1")
    assert "* ✓ `unit` passed" in shown, shown
    assert "GitLab could not" not in shown
    assert len(list(Path(installed).glob("*/ready"))) == 1, "the tests ran with the app's packages"
    person.types("git", "pull", "-q", "--ff-only", "origin", "main")
    person.types("factory", "app", "test", ".factory/tests")
    assert git("status", "--porcelain", cwd=person.shop).stdout == ""

    assert "nothing is pushed" in person.types("factory", "infra", "add", "acme.test")
    assert "!2 Add the infrastructure for acme.test" in person.types("factory", "propose")
    said = merged(person, 2)
    assert "staging: https://shop.acme-staging.test serves release shop-" in said
    waiting = next(item for item in read(person, "deploy", "list") if item["environment"] == "production")
    assert waiting["status"] == "blocked"
    person.types("factory", "deploy", "approve", str(waiting["id"]))
    assert "verified: https://shop.acme.test serves release shop-" in person.types("factory", "work", "--once")
    assert "the chain is complete" in person.types("factory", "evidence", "verify", "2")
    for host in ("shop.acme-staging.test", "shop.acme.test"):
        assert json.loads(answer(person, host, "/coupons/FALL")) == {"discount": 20}
    assert "0 differ" in person.types("factory", "gitlab", "apply")
    person.types("git", "switch", "-q", "main")
    person.types("git", "pull", "-q", "--ff-only", "origin", "main")
    assert "is up to date" in person.types("factory", "upgrade")


def answer(person: Person, host: str, path: str = "/") -> str:
    """Return what the embedded instance's edge answers for a hostname."""
    [record] = (person.home / ".local/state/factory").glob("*/default/instance.json")
    edge = f"http://127.0.0.1:{json.loads(record.read_text())['ports']['edge']}"
    return requests.get(edge + path, headers={"Host": host}, timeout=PATIENCE).text


def hostnames(app: str) -> tuple[str, ...]:
    """Return the options that give the first app its hostnames."""
    return (f"--hostname=staging={app}.acme-staging.test", f"--hostname=production={app}.acme.test")


@pytest.mark.long
@pytest.mark.matrix(4, group="flows")
@pytest.mark.slow
def test_an_app_that_says_how_it_is_built_and_run(person: Person) -> None:
    person.types("factory", "infra", "add", "acme.test")
    git("switch", "-q", "main", cwd=person.shop)
    git("merge", "-q", "--ff-only", "add-infrastructure", cwd=person.shop)
    person.types("factory", "up")
    folder = person.shop.parent / "count"
    written(folder, layouts.COMPILED)
    written(folder, {"Makefile": layouts.COMPILED["Makefile"] + "test: server\n\ttest -x server\n"})
    written(folder, {"app.yml": layouts.COMPILED["app.yml"] + "checks: {unit: {command: [make, test]}}\n"})
    git("init", "-q", "-b", "main", cwd=folder)
    git("add", "-A", cwd=folder)
    git("commit", "-qm", "Count", cwd=folder)
    person.types("factory", "app", "add", "../count", *hostnames("count"))
    assert "staging: https://count.acme-staging.test serves release count-" in merged(person, 1)
    told = "the tests of count are known by their exit code alone; they run by make test"
    assert told in person.types("factory", "mr", "show", "1")
    waiting = next(item for item in read(person, "deploy", "list") if item["environment"] == "production")
    person.types("factory", "deploy", "approve", str(waiting["id"]))
    person.types("factory", "work", "--once")
    assert answer(person, "count.acme.test") == "ok"
    on_a_host_of_ones_own(person)


@pytest.mark.long
@pytest.mark.matrix(4, group="flows")
@pytest.mark.slow
@pytest.mark.parametrize("name", scaffolds.SCAFFOLDS)
def test_an_app_that_nobody_here_wrote(person: Person, name: str) -> None:
    person.types("factory", "infra", "add", "acme.test")
    git("switch", "-q", "main", cwd=person.shop)
    git("merge", "-q", "--ff-only", "add-infrastructure", cwd=person.shop)
    person.types("factory", "up")
    made = scaffolds.make(name, person.shop.parent, lambda argv, folder: person.types(*argv, cwd=folder))
    folder = person.shop.parent / "web"
    git("init", "-q", "-b", "main", cwd=folder)
    git("add", "-A", cwd=folder)
    git("commit", "-qm", "As it was generated", cwd=folder)
    for secret in made.secrets:
        for environment in ("staging", "production"):
            person.types("sh", "-c", f"echo of-{environment} | factory host secret {environment} web {secret}")
    person.types("factory", "app", "add", "../web", *hostnames("web"))
    assert "staging: https://web.acme-staging.test serves release web-" in merged(person, 1)
    waiting = next(item for item in read(person, "deploy", "list") if item["environment"] == "production")
    person.types("factory", "deploy", "approve", str(waiting["id"]))
    person.types("factory", "work", "--once")
    assert made.answer in answer(person, "web.acme.test")


def on_a_host_of_ones_own(person: Person) -> None:
    """Run production's releases on a machine that has a token, the trust root, and nothing else; deploy to it."""
    [record] = (person.home / ".local/state/factory").glob("*/default/instance.json")
    url = f"http://127.0.0.1:{json.loads(record.read_text())['ports']['gitlab']}"
    asked = f"protocol=http\nhost={url.removeprefix('http://')}\n\n"
    told = subprocess.run(
        ["factory", "git-credential", "get"],
        cwd=person.shop,
        env=person.env(),
        input=asked,
        capture_output=True,
        text=True,
        check=True,
    )
    path, token = person.env()["PATH"], dict(line.split("=", 1) for line in told.stdout.split())["password"]
    machine = Person(person.home.parent / "machine")
    machine.shop.mkdir(parents=True)
    trust = machine.shop / "trust.json"
    trust.write_text(person.types("factory", "evidence", "trust"))
    with tempfile.TemporaryDirectory() as sockets:
        argv = ["factory", "host", "run", "production", "--url", url, "--project", "factory/control"]
        argv += ["--trust", str(trust), "--sockets", sockets, "--name", "box", "--every", "1"]
        assert "FACTORY_HOST_TOKEN is not set" in machine.types(*argv, code=3, PATH=path)
        assert ": ready" in machine.types(*argv, "--once", PATH=path, FACTORY_HOST_TOKEN=token)
        assert list(Path(sockets).iterdir()) == []
        enrol_host(person, machine.types("factory", "host", "key", "production", "--json", PATH=path))
        running_host = subprocess.Popen(
            argv, cwd=machine.shop, env=machine.env() | {"PATH": path, "FACTORY_HOST_TOKEN": token}
        )
        try:
            first = released(Path(sockets), 1)
            assert unix_http.get(first[0], "/", seconds=5) == (200, b"ok")
            assert "is started again" in machine.types("factory", "host", "restart", "production", "count", PATH=path)
            assert "another process holds" in machine.types(*argv, code=7, PATH=path, FACTORY_HOST_TOKEN=token)
            deploy_a_change(person)
            assert len(released(Path(sockets), 2)) == 2, "the release before stays, so that a return takes no start"
        finally:
            running_host.terminate()
            assert running_host.wait(PATIENCE) == 143
        assert "not running" in machine.types("factory", "host", "status", "production", PATH=path)


def released(sockets: Path, count: int) -> list[Path]:
    """Wait for the sockets of this many releases; return them."""

    def found() -> list[Path]:
        return [path for path in sockets.glob("*.sock") if not path.name.endswith(".release.sock")]

    wait_for(lambda: len(found()) >= count)
    return found()


def enrol_host(person: Person, key: str) -> None:
    """Let the deployments to production wait for the host, as a person who merges that."""
    public = json.loads(key)["key"]
    person.types("factory", "evidence", "keys", "enrol-host", "box", public, "--environment", "production")
    merged(person, 2)
    assert "what runs for production" in person.types("factory", "evidence", "keys", "list")


def deploy_a_change(person: Person) -> None:
    """Change the app, and deploy it: the factory waits until the host runs the release."""
    person.types("git", "pull", "-q", "--ff-only", "origin", "main")
    source = person.shop / "apps/count/server.c"
    source.write_text("/* counted */\n" + source.read_text())
    person.types("git", "switch", "-qc", "say-more")
    person.types("git", "commit", "-qam", "Say what the program does")
    person.types("factory", "propose")
    merged(person, 3)
    waiting = next(item for item in read(person, "deploy", "list") if item["environment"] == "production")
    person.types("factory", "deploy", "approve", str(waiting["id"]))
    said = person.types("factory", "work", "--once")
    assert "production waits: the host box has read" in said or "production waits: on the host box" in said, said
    assert answer(person, "count.acme.test") == "ok"


@pytest.mark.long
@pytest.mark.matrix(4, group="flows")
@pytest.mark.slow
def test_a_node_app_is_tested_by_its_own_runner(person: Person, tmp_path: Path) -> None:
    person.types("factory", "up")
    folder = tmp_path / "hours"
    text = locked_node_app(tmp_path)
    written(folder, {path.removeprefix("apps/hours/"): content for path, content in text.items()})
    git("init", "-q", "-b", "main", cwd=folder)
    git("add", "-A", cwd=folder)
    git("commit", "-qm", "Tell hours", cwd=folder)
    person.types("factory", "app", "add", "../hours")
    merged(person, 1)
    told = "the tests of hours are known by their report alone: 2, 0 skipped"
    assert told in person.types("factory", "mr", "show", "1")
    person.types("git", "pull", "-q", "--ff-only", "origin", "main")
    test = person.shop / "apps/hours/hours.test.js"
    test.write_text("".join(test.read_text().splitlines(keepends=True)[:-1]))
    person.types("git", "switch", "-qc", "fewer")
    person.types("git", "commit", "-qam", "Test less")
    assert "!2 Test less" in person.types("factory", "propose")
    wait_for(lambda: "is ready for review" in person.types("factory", "work", "--once"))
    shown = person.types("factory", "mr", "show", "2")
    assert "1 fewer tests of hours for all requirements together" in shown, shown
    assert "compared with the one before the change" in shown
