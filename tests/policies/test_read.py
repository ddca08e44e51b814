"""Policies: what is refused, with file, line, key and a suggestion."""

import json
import re

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from factory.errors import InvalidInput
from factory.policies import read
from factory.policies.model import Policies
from factory.system import strict_yaml
from tests.policies.shipped import FILES
from tests.servers import ROOT

REST = "\nthresholds: {changed_lines_covered: 90, slowdown: 2.0}\ndependencies: {known: {}, licences: [MIT]}"
SCOPE = """\
allowed: ["apps/**"]
protected: []
agents: [a]
max_files: 40
max_lines: 800
small_lines: 30
"""
AGENT = """\
default: replay
agents:
  replay:
    protocol: acp
    command: [a]
    version: "1"
    capabilities: [edit]
    sandbox: host
    egress: []
    limits:
      turns: 1
      turn_seconds: 1
      silence_seconds: 1
      output_bytes: 1
      tokens: 1
      usd: 1.5
      memory_bytes: 1000000
      processes: 1
      file_bytes: 1000000
routes: []
permissions: {allow: [], deny: []}
"""
BUDGETS = """\
attempts: 1
warn_percent: 80
idle_turns: 1
pipeline_minutes: 1
caps:
  run: {tokens: 1, usd: 1}
  issue: {tokens: 1, usd: 1}
  day: {tokens: 1, usd: 1}
  month: {tokens: 1, usd: 1}
"""
TERRAFORM = """stacks: {staging: {}, production: {after: []}}
providers: {a/b: 1.0.0}
types: [a_b]
protected: {types: [], addresses: []}
destroy: never
limits: {changes: 1, destroys: 1, percent: 1}
demands: [{type: a_b, attribute: c, like: x, reason: it must be so}]
companions: []
noise: []
stale: refuse
lock_minutes: 1
"""
OUTPUTS = """\
caps: {comment: 1, question: 1, label: 1, follow_up: 1, done: 1, blocked: 1}
labels: ["kind::bug"]
follow_up_labels: []
characters: 100
"""
GITLAB = "approvals: {people: ['@me'], reset_approvals_on_push: true, merge_requests_author_approval: true}"
EXCEPTION = "{rule: types.error, subject: a.py, owner: me, reason: the stub is wrong, expires: 2027-01-31}"


def replaced(name: str, text: str) -> dict[str, bytes]:
    return FILES | {f"policies/{name}.yml": text.encode()}


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("scope", SCOPE.replace("max_files", "max_fils"), ":4: max_fils: no such key; did you mean max_files?"),
        ("scope", SCOPE + "zzz: 1", ":7: zzz: no such key; use one of agents, allowed"),
        ("scope", SCOPE + "max_files: 1", ":7:1: duplicate key 'max_files'"),
        ("scope", SCOPE.replace("40", "0"), ":4: max_files: 0 is out of range; the minimum is 1"),
        ("scope", SCOPE.replace("40", "9999999999"), "the maximum is 1000000000"),
        ("scope", SCOPE.replace("40", '"40"'), ":4: max_files: '40' is not a whole number; write it without quotes"),
        ("scope", SCOPE.replace("protected: []\n", ""), ":1: protected: the key is missing"),
        ("scope", SCOPE.replace('["apps/**"]', "[]"), ":1: allowed: give at least one"),
        ("scope", SCOPE.replace('"apps/**"', "/apps"), ":1: allowed.0: '/apps' cannot match any path: it is absolute"),
        ("scope", SCOPE.replace("[a]", "[1]"), ":3: agents.0: 1 is not a string; put it in quotes"),
        ("scope", "allowed: [a", "scope.yml:1:"),
        ("scope", "a: &x 1\nb: *x", ":2:4: aliases"),
        ("scope", "", ":1: expected a mapping"),
        ("scope", "1: 2", ":1: expected a mapping with text keys"),
        (
            "agents",
            AGENT.replace("acp", "acb"),
            ":4: agents.replay.protocol: 'acb' is not one of acp, command; did you mean acp?",
        ),
        (
            "agents",
            AGENT.replace("host", "bwrp"),
            ":8: agents.replay.sandbox: 'bwrp' is not one of host, bwrap; did you mean bwrap?",
        ),
        ("agents", AGENT.replace("[edit]", "[edits]"), ":7: agents.replay.capabilities.0: 'edits' is not one of edit"),
        (
            "agents",
            AGENT.replace("egress: []", "egress: [https://a]"),
            ":9: agents.replay.egress.0: 'https://a' does not",
        ),
        (
            "agents",
            AGENT.replace("routes: []", "routes: [{labels: [a], agent: codec}]"),
            ":20: routes.0.agent: there is no agent 'codec'",
        ),
        (
            "agents",
            AGENT.replace("sandbox: host", "sandbox: host\n    stronger: repla"),
            ":9: agents.replay.stronger: there is no agent 'repla'; did you mean replay?",
        ),
        (
            "agents",
            AGENT.replace("default: replay", "default: replai"),
            ":1: default: there is no agent 'replai'; did you mean replay?",
        ),
        (
            "agents",
            AGENT.replace("turn_seconds", "turn_second"),
            ":12: agents.replay.limits.turn_second: no such key; did you mean turn_seconds?",
        ),
        (
            "agents",
            "default: x\nroutes: []\npermissions: {allow: [], deny: []}\nagents: {}",
            ":4: agents: give at least one",
        ),
        ("agents", AGENT.replace("  replay:", "  Replay:"), ":3: agents.Replay: 'Replay' does not match the pattern ^"),
        ("approvals", "merge: {required: 0, approvers: []}\nrisks: {}", ":1: merge.required: 0 is out of range"),
        (
            "approvals",
            "merge: {required: 1, approvers: []}\nrisks:\n  a: {required: 1, decide: b}",
            ":3: risks.a: has neither",
        ),
        (
            "approvals",
            "merge: {required: 1, approvers: []}\nrisks:\n  a: {required: 1, decide: b, actions: [remove]}",
            "is not one of create",
        ),
        (
            "gates",
            "gates: {unit: {where: locale, required: true}}\nchecks: {}" + REST,
            "'locale' is not one of local, pipeline; did you mean local?",
        ),
        (
            "gates",
            "gates: {unit: {where: local, required: yes}}\nchecks: {unti: [a]}" + REST,
            ":2: checks.unti: there is no gate of this name; did you mean unit?",
        ),
        (
            "environments",
            "deploy: production\nenvironments:\n  production: {approvals: 0, production: true}",
            ":3: environments.production.approvals: a person must approve",
        ),
        (
            "environments",
            "deploy: prod\nenvironments:\n  production: {approvals: 1, production: true}",
            ":1: deploy: there is no environment 'prod'; did you mean production?",
        ),
        (
            "exceptions",
            "exceptions:\n- " + EXCEPTION.replace("types.error", "scope.protected"),
            ":2: exceptions.0.rule: exceptions cannot name scope.protected",
        ),
        ("exceptions", "exceptions:\n- " + EXCEPTION.replace("types.error", "secrets.token"), "exceptions cannot name"),
        (
            "exceptions",
            "exceptions:\n- " + EXCEPTION.replace("types.error", "exception.expired"),
            "exceptions cannot name",
        ),
        ("exceptions", "exceptions:\n- " + EXCEPTION.replace("2027-01-31", "2027-02-31"), "2027-02-31 is not a date"),
        ("exceptions", "exceptions:\n- " + EXCEPTION.replace("2027-01-31", "soon"), "'soon' does not match"),
        (
            "exceptions",
            f"exceptions:\n- {EXCEPTION}\n- {EXCEPTION}",
            ":3: exceptions.1: line 2 has the same rule and subject",
        ),
        ("session", "[]", ":1: expected a mapping"),
        (
            "budgets",
            BUDGETS.replace("attempts: 1", "attempts: 21"),
            ":1: attempts: 21 is out of range; the maximum is 20",
        ),
        (
            "outputs",
            OUTPUTS.replace("kind::bug", "Factory::ready"),
            ":2: labels.0: Factory::ready mirrors an issue's state",
        ),
        ("outputs", OUTPUTS.replace("kind::bug", "a,b"), ":2: labels.0: 'a,b' does not match"),
        ("outputs", OUTPUTS.replace(", done: 1", ""), ":1: caps.done: the key is missing"),
        ("retention", "session_days: 1.5", ":1: session_days: 1.5 is not a whole number"),
        (
            "terraform",
            TERRAFORM.replace("types: [a_b]", "types: []"),
            ":3: types: give at least one",
        ),
        (
            "terraform",
            TERRAFORM.replace("after: []", "after: [staging, other]"),
            "stacks.production.after.1: there is no",
        ),
        ("terraform", TERRAFORM.replace("after: []", "after: [production]"), "stacks: the stacks wait for each other"),
        ("terraform", TERRAFORM.replace("like: x", "like: '('"), "is not a regular expression"),
        (
            "terraform",
            TERRAFORM.replace("like: x", "like: x, equals: 1"),
            "give exactly one of equals, one_of and like",
        ),
        (
            "gitlab",
            GITLAB.replace("'@me'", "'@me', '@Factory-Agent'"),
            ":1: approvals.people.1: @Factory-Agent is not a person",
        ),
        (
            "gitlab",
            "environments: {production: {deploy: ['@me'], approvers: [maintainer, '@factory-bot']}}",
            ":1: environments.production.approvers.1: @factory-bot is not a person",
        ),
        ("gitlab", GITLAB.replace("@me", "maintainer"), ":1: approvals.people.0: 'maintainer' does not match"),
        (
            "gitlab",
            GITLAB.replace("@me", "@factory-bot"),
            "@factory-bot is not a person",
        ),
    ],
)
def test_what_is_refused(name: str, text: str, told: str) -> None:
    with pytest.raises(InvalidInput, match="policies/" + name) as refused:
        read.read(replaced(name, text))
    assert told in str(refused.value)


def test_a_file_that_is_not_utf8_is_refused_with_its_line() -> None:
    with pytest.raises(InvalidInput, match=r"scope\.yml:2: the file is not UTF-8"):
        read.read(FILES | {"policies/scope.yml": b"a: 1\nb: \xff"})


def test_all_problems_are_listed_and_the_first_is_told() -> None:
    bad = replaced("scope", SCOPE.replace("40", "0").replace("800", "0"))
    found = read.check(bad | {"policies/budgets.yml": BUDGETS.replace("attempts: 1", "attempts: 0").encode()})
    assert [line.partition(":")[0] for line in found] == ["policies/scope.yml"] * 2 + ["policies/budgets.yml"]
    with pytest.raises(InvalidInput, match=r"max_files: .* \(and 1 more"):
        read.read(bad)
    assert read.check(FILES) == []


def test_an_absent_file_has_the_packages_content() -> None:
    some = {name: text for name, text in FILES.items() if "scope" not in name}
    shipped = (ROOT / "policies/scope.yml").read_bytes()
    assert read.effective(some) == FILES | {"policies/scope.yml": shipped}
    assert read.read(some).scope.allowed[0] == "apps/**"
    assert read.read(some).digest == read.digest(FILES | {"policies/scope.yml": shipped})
    assert read.check({"docs/x.md": b""}) == ["policies/ has no policy file"]


def test_unknown_files() -> None:
    with pytest.raises(InvalidInput, match=r"no policy has this name; did you mean scope\?"):
        read.read(FILES | {"policies/scop.yml": b"{}"})
    with pytest.raises(InvalidInput, match="no policy has this name"):
        read.read(FILES | {"policies/more/scope.yml": b"{}"})
    with pytest.raises(InvalidInput, match="no policy has this name"):
        read.read(FILES | {"policies/scope.yaml": b"{}"})


def test_cases_are_no_policies() -> None:
    more = FILES | {"policies/cases/scope.yml": b"not: [read", "policies/README.md": b"x"}
    assert read.digest(more) == read.digest(FILES)
    assert read.read(more) == read.read(FILES)


def test_every_byte_counts_for_the_digest() -> None:
    before = read.digest(FILES)
    for name, text in FILES.items():
        assert read.digest(FILES | {name: text + b"\n"}) != before


@pytest.mark.parametrize("name", read.FILES)
def test_our_own_policies_fit_the_published_schemas(name: str) -> None:
    schema = json.loads((ROOT / f"docs/reference/{name}.schema.json").read_text())
    jsonschema.validate(strict_yaml.load(FILES[f"policies/{name}.yml"].decode(), source=name), schema)
    assert schema["additionalProperties"] is False
    assert schema["description"].startswith(f"``{name}.yml``")


def test_every_policy_has_a_file() -> None:
    assert set(Policies.model_fields) == {*read.FILES, *read.OPTIONAL, "digest"}


@given(st.binary(max_size=200) | st.text(max_size=100).map(str.encode))
def test_bad_bytes_never_give_a_traceback(data: bytes) -> None:
    with pytest.raises(InvalidInput, match=r"policies/scope\.yml:\d+:|policies/scope\.yml: "):
        read.read(FILES | {"policies/scope.yml": data})


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["required", "where", "a"]), inner),
    max_leaves=5,
)


@given(st.sampled_from(read.FILES), st.data())
def test_any_value_under_any_key_is_read_or_refused_with_a_line(name: str, data: st.DataObject) -> None:
    path = f"policies/{name}.yml"
    value = strict_yaml.load_mapping(FILES[path].decode(), source=path)
    key = data.draw(st.sampled_from(sorted(value)))
    value[key] = data.draw(VALUES)
    for problem in read.check(FILES | {path: json.dumps(value).encode()}):
        assert re.match(rf"{re.escape(path)}:1(:\d+)?: ", problem), problem


def test_an_environment_names_a_stack_that_is_there() -> None:
    with pytest.raises(
        InvalidInput,
        match=r"environments.yml:.*there is no stack 'production' in .*; use one of staging",
    ):
        read.read(replaced("terraform", TERRAFORM.replace(", production: {after: []}", "")))


def test_a_file_of_an_earlier_version_says_its_new_name() -> None:
    files = {f"policies/{path.name}": path.read_bytes() for path in sorted((ROOT / "policies").glob("*.yml"))}
    files["policies/workflow.yml"] = files.pop("policies/session.yml")
    with pytest.raises(InvalidInput, match=re.escape("this version reads policies/session.yml; run `git mv")):
        read.read(files)
    assert len(read.check(files)) == 1
