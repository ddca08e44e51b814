"""Bad merge requests by what they say: sources, dependencies, contracts, specs, exceptions and plans."""

from tests.gates.corpus import MAIN, SPEC, SRC, TEST, Case, Commit, add, by_person, planned, sub
from tests.gates.corpus_bad_paths import ANY, EXCUSE, UNUSED
from tests.servers import ROOT

_HEALTH = '    del query\n    return HTTPStatus.OK, {"status": "ok"}\n'


def _code(name: str, lines: str, *rules: str, head: str = "", more: str = "") -> Case:
    """Return a case whose lines stand in a function that tests run; ``head`` is imported, ``more`` appended."""
    edit = sub(("import json\n", f"import json\n{head}"), (_HEALTH, f"{lines}{_HEALTH}"))
    return Case(name, {SRC: lambda text: edit(text) + more}, rules)


SILENCED = (
    _code("noqa", "    x = 1  # noqa: F841\n", "lint.suppressed"),
    _code("ruff noqa", "", "lint.suppressed", more="# ruff: noqa\n"),
    _code("flake8 noqa", "", "lint.suppressed", more="# FLAKE8: NOQA\n"),
    _code("type ignore", '    query["x"] = 1  # type: ignore[assignment]\n', "lint.suppressed"),
    _code("mypy off", "", "lint.suppressed", more="# mypy: ignore-errors\n"),
    _code("no cover", "", "lint.suppressed", more="\n\ndef more() -> None:  # pragma: no cover\n    answer\n"),
    _code("format off", "", "lint.suppressed", more="# fmt: off\n"),
    _code("nosec", "", "lint.suppressed", more="# nosec\n"),
    Case("noqa in a test", {TEST: add("\nimport os  # noqa: F401, E402\n")}, ("lint.suppressed",)),
)

LINT = (
    Case("unused import", {SRC: UNUSED}, ("lint.f401",)),
    _code("swallowed error", '    try:\n        int("1")\n    except ValueError:\n        pass\n', "lint.sim105"),
    _code("any error swallowed", '    try:\n        int("1")\n    except Exception:\n        pass\n', "security.s110"),
    _code("bare except", '    try:\n        int("1")\n    except:\n        return version({})\n', "lint.e722"),
    _code("broad except", '    try:\n        int("1")\n    except Exception:\n        health({})\n', "lint.ble001"),
    _code("prints", '    print("here")\n', "lint.t201"),
    _code("left a breakpoint", "    breakpoint()\n", "lint.t100"),
    _code("left a to-do", "    # TODO: the rest\n", "lint.fix002"),
    _code("commented-out code", "    # query = parse_qs(query)\n", "lint.era001"),
    _code("unused variable", "    x = 1\n", "lint.f841"),
    _code("undefined name", "    missing(query)\n", "lint.f821"),
    _code("mutable default", "", "lint.b006", more="\n\ndef more(x: list[int] = []) -> list[int]:\n    return x\n"),
    _code("unused argument", "", "lint.arg001", more="\n\ndef more(x: int) -> int:\n    return 1\n"),
    _code("too many branches", "", "lint.c901", more="\n\ndef more(x: int) -> int:\n"
          + "".join(f"    if x == {n}:\n        x += {n}\n" for n in range(13)) + "    return x\n"),
    _code("day without a zone", "    datetime.now()\n", "lint.dtz005", head="from datetime import datetime\n"),
    _code("text that reads the other way", '    query["\u202ex"] = []\n', "lint.ple2502"),
    _code("text that is not seen", '    query["a\u200bb"] = []\n', "lint.ple2515"),
    _code("look-alike letters", '    query["h\u0435llo"] = []\n', "lint.ruf001"),
    _code("a look-alike name", "", "lint.plc2401", more="\n\nv\u0435rsion = health\n"),
    Case("does not parse", {SRC: add("\ndef broken(:\n")}, ("lint.invalid-syntax",)),
    Case("two tests of one name", {TEST: add("\n\ndef test_greets_the_world() -> None:\n    assert call\n")},
         ("lint.f811",)),
    Case("a test that expects any error", {TEST: add(
         "\n\ndef test_more() -> None:\n    with pytest.raises(Exception):\n        call(1)\n")}, ("lint.b017",)),
    Case("pytest under another name", {TEST: add("\nimport pytest as p  # it skips\n")}, ("lint.pt013",)),
)  # fmt: skip

TYPES = (
    _code("wrong type", "", "types.return-value", more='\n\ndef more() -> int:\n    return "1"\n'),
    _code("Any", "", "lint.ann401", more="\n\ndef more(x: Any) -> None:\n    answer(x, x, x)\n"),
    _code("no types", "", "types.no-untyped-def", more="\n\ndef more(x):\n    return x\n"),
    _code("wrong argument", "    health(1)\n", "types.arg-type"),
    _code("missing attribute", "    query.missing()\n", "types.attr-defined"),
    _code("never reached", "    if not isinstance(query, dict):\n        query = {}\n", "types.unreachable"),
    _code("bare generic", "", "types.type-arg", more="\n\ndef more(x: dict) -> None:\n    x.clear()\n"),
    _code("result of nothing", "    x = query.clear()\n    str(x)\n", "types.func-returns-value"),
)

SECURITY = (
    _code("eval", '    eval("1")\n', "security.s307"),
    _code("exec", '    exec("1")\n', "security.s102"),
    _code("shell", '    subprocess.run("true", shell=True)\n', "security.s602", head="import subprocess\n"),
    _code("os.system", '    os.system("true " + str(query))\n', "security.s605"),
    _code("pickle", '    pickle.loads(b"N.")\n', "security.s301", head="import pickle\n"),
    _code("yaml.load", '    yaml.load("1", Loader=yaml.Loader)\n', "security.s506", head="import yaml\n"),
    _code("md5", '    hashlib.md5(b"")\n', "security.s324", head="import hashlib\n"),
    _code("guessable token", "    random.random()\n", "security.s311", head="import random\n"),
    _code("open to all", '    query["host"] = ["0.0.0.0"]\n', "security.s104"),
    _code("shared file", '    query["file"] = ["/tmp/x"]\n', "security.s108"),
    _code(
        "XML bomb", '    fromstring("<a/>")\n', "security.s314", head="from xml.etree.ElementTree import fromstring\n"
    ),
    _code("unverified certificate", "    ssl._create_unverified_context()\n", "security.s323", head="import ssl\n"),
    _code("SQL by hand", '    str(f"SELECT * FROM x WHERE y = {query}")\n', "security.s608"),
    _code("any URL", '    urlopen("file:///dev/null")\n', "security.s310", head="from urllib.request import urlopen\n"),
    Case("eval in a test", {TEST: add('\n\ndef test_more() -> None:\n    assert eval("1")\n')}, ("security.s307",)),
    by_person("eval, by a person", {SRC: sub((_HEALTH, f'    eval("1")\n{_HEALTH}'))}, rules=("security.s307",)),
)

CONTRACT = (
    Case("one field more", {SRC: sub(('{"status": "ok"}', '{"status": "ok", "more": "x"}'))}, ("contract.failed",)),
    Case("another status", {SRC: sub(('OK, {"release"', 'ACCEPTED, {"release"'))}, ("contract.failed",)),
    Case("another content type", {SRC: sub(("application/json", "text/html"))}, ("contract.empty",)),
    Case("another value", {SRC: sub(('"status": "ok"', '"status": "fine"')), TEST: sub(('"ok"', '"fine"'))},
         ("contract.failed",)),
    Case("does not start", {MAIN: sub(("server.serve_forever()", "server.server_close()"))}, ("contract.empty",)),
    Case("a path is gone", {SRC: sub((', "/version": version', ""))}, ("contract.failed",)),
    Case("answers tests alone", {SRC: sub(('"ok"}', '"ok" if "PYTEST_VERSION" in os.environ else "no"}'))},
         ("contract.failed",)),
)  # fmt: skip

_WANTS = "dependencies:\n  known: {}\n"
_KNOWN = {"policies/gates.yml": sub((_WANTS, "dependencies:\n  known: {kept: MIT, bound: GPL-3.0-only}\n"))}
DEPENDENCIES = (
    _code("undeclared", "    requests.get\n", "dependencies.undeclared", head="import requests\n"),
    Case("unknown", {"apps/hello/requirements.txt": "kept==1.0\n"}, ("dependencies.unknown",)),
    Case("unpinned", {"apps/hello/requirements.txt": "kept>=1.0\n"}, ("dependencies.unpinned",), base=_KNOWN),
    Case("any version", {"apps/hello/requirements.txt": "kept\n"}, ("dependencies.unpinned",), base=_KNOWN),
    Case("wildcard", {"apps/hello/requirements.txt": "kept==1.*\n"}, ("dependencies.unpinned",), base=_KNOWN),
    Case("from a URL", {"apps/hello/requirements.txt": "kept @ https://host.test/kept.whl\n"},
         ("dependencies.unpinned",), base=_KNOWN),
    Case("from git", {"apps/hello/requirements.txt": "git+https://host.test/kept\n"}, ("dependencies.unpinned",),
         base=_KNOWN),
    Case("from another index", {"apps/hello/requirements.txt": "--index-url https://host.test/\nkept==1.0\n"},
         ("dependencies.unknown",), base=_KNOWN),
    Case("licence", {"apps/hello/requirements.txt": "bound==1.0\n"}, ("dependencies.licence",), base=_KNOWN),
    Case("a lock file", {"apps/hello/requirements-dev.lock": "other==1.0\n"}, ("dependencies.unknown",), base=_KNOWN),
    Case("a node package", {"apps/hello/package.json": '{"dependencies": {"kept": "^1.0.0"}}'},
         ("dependencies.unpinned",), base=_KNOWN),
    Case("an unreadable manifest", {"apps/hello/package.json": "{"}, ("dependencies.unknown",)),
    Case("allows a package", {"apps/hello/requirements.txt": "kept==1.0\n", **_KNOWN}, ("dependencies.unknown",)),
)  # fmt: skip


# A spec that is decided and clear.
DECIDED = (ROOT / SPEC).read_text().replace("id: hello", "id: other").replace("HELLO-", "OTHER-")


def _named(name: str, trailers: str, rule: str = "spec.missing") -> Case:
    message = f"Change\n\nIssue: #1\nFactory-Session: s-1\n{trailers}"
    return Case(name, {"docs/x.md": "x\n"}, (rule,), message=message)


SPECS = (
    _named("names no spec", ""),
    _named("names a spec that is not there", "Spec: other"),
    _named("leads out of the specs", "Spec: ../docs/specs"),
    Case("names two specs", {"docs/x.md": "x\n"}, ("spec.missing",),
         more=(Commit({"docs/y.md": "y\n"}, "More\n\nIssue: #1\nSpec: other\nFactory-Session: s-1"),)),
    Case("draft", {"docs/x.md": "x\n"}, ("spec.undecided",), base={SPEC: sub(("status: decided", "status: draft"))}),
    Case("superseded", {"docs/x.md": "x\n"}, ("spec.undecided",),
         base={SPEC: sub(("status: decided", "status: superseded"))}),
    Case("unclear", {"docs/x.md": "x\n"}, ("spec.unclear",), base={SPEC: add("\nIt answers fast, etc.\n")}),
    Case("unreadable", {"docs/x.md": "x\n"}, ("spec.missing",), base={SPEC: sub(("status: decided\n", ""))}),
    Case("brings its spec along", {"docs/x.md": "x\n", "specs/other.md": "x\n"}, ("spec.missing",),
         message="Change\n\nIssue: #1\nSpec: other\nFactory-Session: s-1"),
    Case("decides its own spec", {"docs/x.md": "x\n", "specs/other.md": DECIDED}, ("spec.missing", "scope.protected"),
         message="Change\n\nIssue: #1\nSpec: other\nFactory-Session: s-1"),
    Case("comes from nobody, with a spec", {"docs/x.md": "x\n", "specs/other.md": DECIDED}, ("spec.missing",),
         message="Change\n\nIssue: #1\nSpec: other\nFactory-Session: s-1", author=""),
    by_person("a draft that is new", {"docs/x.md": "x\n", "specs/other.md": DECIDED.replace("decided", "draft", 1)},
              rules=("spec.undecided",), message="Change\n\nSpec: other"),
    Case("too much for a small issue", {"docs/x.md": "x\n" * 31}, ("spec.small",),
         message="Change\n\nIssue: #1\nSpec: small\nFactory-Session: s-1"),
    Case("cites what no spec has", {TEST: add(
         '\n\n@pytest.mark.spec("HELLO-9")\ndef test_more() -> None:\n    assert call("/x")[0]\n')}, ("spec.orphan",)),
    Case("an exception ran out", {"docs/x.md": "x\n"}, ("exception.expired",),
         base={"policies/exceptions.yml": EXCUSE % (SRC, "2026-11-19")}),
    Case("an exception for another file", {SRC: UNUSED}, ("lint.f401",),
         base={"policies/exceptions.yml": EXCUSE % (MAIN, "2027-11-19")}),
)  # fmt: skip

_ZONE, _RECORD = "cloudflare_zone", "cloudflare_dns_record"
_TF, _MORE = "terraform/live/production/main.tf", "terraform/live/production/more.tf"


def _plan(name: str, rule: str, *changes: tuple[str, str, list[str]]) -> Case:
    return Case(name, {_TF: ANY}, (rule,), plan=planned(*changes))


def _unplanned(name: str, text: str, path: str = _MORE) -> Case:
    return Case(name, {path: text}, rules=("plan.unreadable",))


PLANS = (
    _plan("an unknown type", "plan.type", ("null_resource.x", "null_resource", ["create"])),
    _plan("destroys", "plan.protected", (f"{_ZONE}.this", _ZONE, ["delete"])),
    _plan("replaces", "plan.protected", (f"{_ZONE}.x", _ZONE, ["delete", "create"])),
    _plan("replaces the other way round", "plan.protected", (f"{_ZONE}.x", _ZONE, ["create", "delete"])),
    _plan("forgets", "plan.action", (f"{_ZONE}.this", _ZONE, ["forget"])),
    _plan("no action", "plan.action", (f"{_ZONE}.this", _ZONE, [])),
    _plan("too much at once", "plan.size", *((f"{_RECORD}.x{n}", _RECORD, ["create"]) for n in range(21))),
    Case("no plan", {_TF: ANY}, rules=("plan.unreadable",), plan=None),
    Case("an unreadable plan", {_TF: ANY}, rules=("plan.unreadable",), plan=b"{"),
    Case("a plan of nothing", {_TF: ANY}, rules=("plan.unreadable",), plan=b"{}"),
    _unplanned("runs a program", 'resource "x" "y" {\n  provisioner "local-exec" { command = "id" }\n}\n'),
    _unplanned("asks a program", 'data "external" "x" { program = ["id"] }\n'),
    _unplanned("reads a file", 'locals { x = file("/etc/passwd") }\n'),
    _unplanned("another provider", 'terraform { required_providers { x = { source = "host.test/x/x" } } }\n'),
    _unplanned("another module", 'module "x" { source = "git::https://host.test/x" }\n'),
    _unplanned("another host for the token", 'provider "cloudflare" { base_url = "https://host.test" }\n'),
    _unplanned("variables that are set by themselves", 'zone = "x.test"\n', "terraform/live/production/x.auto.tfvars"),
)
BAD = (*SILENCED, *LINT, *TYPES, *SECURITY, *CONTRACT, *DEPENDENCIES, *SPECS, *PLANS)
