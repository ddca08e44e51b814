"""Reads ``policies/*.yml`` into types and checks that they are consistent.

A file that is absent has the content that the package carries for it.
"""

import re
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import PurePosixPath
from typing import Any

from factory.errors import InvalidInput
from factory.policies import trust
from factory.policies.model import Approvals, EnrolledKey, Policies, TrustRoot
from factory.policies.problems import Document, document, nearest, parse
from factory.system import canonical, defaults, strict_yaml

FILES = (
    "agents",
    "gates",
    "scope",
    "session",
    "budgets",
    "outputs",
    "retention",
    "approvals",
    "environments",
    "exceptions",
    "terraform",
    "secrets",
    "gitlab",
)
# Files that have no default.
OPTIONAL = ("apps", "trust")
# The factory's own accounts, in addition to the agents of scope.yml.
_OURS = ("factory-bot", "factory-agent", "rehearsal")
# Examples, which decide nothing and are not part of the digest.
CASES = "policies/cases/"
PATH = re.compile(r"policies/.+\.yml", re.DOTALL)
_KNOWN = {f"policies/{name}.yml": name for name in (*FILES, *OPTIONAL)}
# Files that had another name in an earlier version of the factory.
_RENAMED = {"policies/workflow.yml": "policies/session.yml"}


def read(files: Mapping[str, bytes], *, package: Mapping[str, bytes] | None = None) -> Policies:
    """Return the policies in files named ``policies/<name>.yml``; files below ``policies/cases/`` are ignored.

    ``package`` has what stands in for absent files, by default what this package carries. Raises ``InvalidInput`` with
    file, line, key and a suggestion for an unknown or missing file or key and for an invalid value.
    """
    policies, problems = _read(files, package)
    if policies is None:
        more = f" (and {len(problems) - 1} more: see `factory policy check`)" if len(problems) > 1 else ""
        raise InvalidInput(f"{problems[0]}{more}")
    return policies


def check(files: Mapping[str, bytes]) -> list[str]:
    """Return every problem of the files as ``path:line: key: message``; empty if ``read`` accepts them."""
    return _read(files)[1]


def trust_root(content: bytes) -> TrustRoot:
    """Return the content of ``policies/trust.yml``; raises ``InvalidInput`` with line, key and a suggestion."""
    given = document(trust.PATH, content)
    found, problems = parse(TrustRoot, given)
    problems += _key_problems(found, given) if found else []
    if found is None or problems:
        raise InvalidInput(problems[0])
    return found


def effective(files: Mapping[str, bytes], package: Mapping[str, bytes] | None = None) -> dict[str, bytes]:
    """Return the policy files that decide: the given ones, and the package's for those that are absent.

    Without any policy file, there is no control repository, and nothing is added.
    """
    given = {path: files[path] for path in files if path in _KNOWN or path in _RENAMED}
    standing = {_RENAMED.get(path, path) for path in given}
    carried = defaults.below("policies") if package is None else package
    absent = {path: data for path, data in carried.items() if path in _KNOWN and path not in standing}
    return {**absent, **given} if given else {}


def digest(files: Mapping[str, bytes], package: Mapping[str, bytes] | None = None) -> str:
    """Return the digest of all policy files that decide, computed over the sorted pairs of path and content digest."""
    found = effective(files, package)
    return canonical.digest_of([[path, canonical.digest(found[path])] for path in sorted(set(_KNOWN) & set(found))])


def _read(files: Mapping[str, bytes], package: Mapping[str, bytes] | None = None) -> tuple[Policies | None, list[str]]:
    problems = list(_misplaced(files))
    deciding, own = effective(files, package), effective(files)
    documents: dict[str, Document] = {}
    parts: dict[str, Any] = {}
    for path, name in _KNOWN.items():
        if path not in own:
            continue
        given, part, found = _part(path, name, deciding.get(path, own[path]))
        if found and path not in files:
            # Another version carries the default, and this one may have other keys.
            given, part, found = _part(path, name, own[path])
        problems += found
        if given is not None:
            documents[name], parts[name] = given, part
    if problems:
        return None, problems
    policies = Policies(**parts, digest=digest(files, package))
    problems = list(_cross_check(policies, documents))
    return (None, problems) if problems else (policies, [])


def _part(path: str, name: str, content: bytes) -> tuple[Document | None, Any, list[str]]:
    """Return a policy file as a document and as a value, and its problems; without a document if it is no YAML."""
    try:
        given = document(path, content)
    except InvalidInput as error:
        return None, None, [str(error)]
    part, found = parse(_model(name), given)
    return given, part, found


def _misplaced(files: Mapping[str, bytes]) -> Iterator[str]:
    renamed = {old: new for old, new in _RENAMED.items() if old in files}
    for old, new in renamed.items():
        yield f"{old}: this version reads {new}; run `git mv {old} {new}` (the keys are the same)"
    for path in sorted(set(files) - set(renamed)):
        if path.endswith((".yml", ".yaml")) and path not in _KNOWN and not path.startswith(CASES):
            yield f"{path}: no policy has this name{nearest(PurePosixPath(path).stem, (*FILES, *OPTIONAL))}"
    if not effective(files):
        yield "policies/ has no policy file"


def _model(name: str) -> Any:
    return TrustRoot if name == "trust" else Policies.model_fields[name].annotation


def _risks(approvals: Approvals, given: Document) -> Iterator[str]:
    for name, risk in approvals.risks.items():
        if not risk.paths and not risk.actions:
            yield given.problem(("risks", name), "has neither paths nor actions, so it never applies; add one of them")
        if risk.lines and not risk.paths:
            yield given.problem(("risks", name, "lines"), "without paths, no line is looked at")


def _cross_check(policies: Policies, documents: Mapping[str, Document]) -> Iterator[str]:
    agents, gates, environments = policies.agents, policies.gates, policies.environments
    if agents.default not in agents.agents:
        message = f"there is no agent {agents.default!r}{nearest(agents.default, agents.agents)}"
        yield documents["agents"].problem(("default",), message)
    yield from _named_agents(policies, documents["agents"])
    for name in gates.checks:
        if name not in gates.gates:
            message = f"there is no gate of this name{nearest(name, gates.gates)}"
            yield documents["gates"].problem(("checks", name), message)
    if environments.deploy not in environments.environments:
        message = f"there is no environment {environments.deploy!r}"
        found = nearest(environments.deploy, environments.environments)
        yield documents["environments"].problem(("deploy",), message + found)
    for name, environment in environments.environments.items():
        if environment.production and environment.approvals == 0:
            message = "a person must approve every deployment to production; did you mean 1?"
            yield documents["environments"].problem(("environments", name, "approvals"), message)
    yield from _risks(policies.approvals, documents["approvals"])
    yield from _stacks(policies, documents)
    if policies.trust is not None:
        yield from _key_problems(policies.trust, documents["trust"])
    yield from _approvers(policies, documents["gitlab"])
    yield from _secrets(policies, documents["secrets"])
    seen: dict[tuple[str, str], int] = {}
    for number, item in enumerate(policies.exceptions.exceptions):
        first = seen.setdefault((item.rule, item.subject), number)
        if first != number:
            line = documents["exceptions"].marks.line(("exceptions", first))
            message = f"line {line} has the same rule and subject; remove one of them"
            yield documents["exceptions"].problem(("exceptions", number), message)


def _named_agents(policies: Policies, found: Document) -> Iterator[str]:
    """Yield a problem for each route or agent that names an unknown agent."""
    agents = policies.agents
    named: list[tuple[strict_yaml.Key, str]] = []
    named += [(("routes", number, "agent"), route.agent) for number, route in enumerate(agents.routes)]
    for name, agent in agents.agents.items():
        named += [(("agents", name, key), other) for key in ("stronger", "instead") if (other := getattr(agent, key))]
    for key, name in named:
        if name not in agents.agents:
            yield found.problem(key, f"there is no agent {name!r}{nearest(name, agents.agents)}")


def _approvers(policies: Policies, found: Document) -> Iterator[str]:
    """Yield a problem for each approver that is an account of the factory or of an agent."""
    agents = {f"@{name}".casefold() for name in (*policies.scope.agents, *_OURS)}
    given = policies.gitlab
    named: list[tuple[tuple[str, ...], tuple[str, ...]]] = []
    if given.approvals:
        named.append((("approvals", "people"), given.approvals.people))
    for environment, guarded in (given.environments or {}).items():
        named.append((("environments", environment, "approvers"), guarded.approvers))
    for key, people in named:
        for number, name in enumerate(people):
            if name.casefold() in agents:
                yield found.problem((*key, number), f"{name} is not a person's account and cannot approve")


def _secrets(policies: Policies, found: Document) -> Iterator[str]:
    """Yield a problem for each secret with an unknown environment, and for each CI variable of two secrets."""
    taken: dict[tuple[str, str], str] = {}
    for name, rule in policies.secrets.secrets.items():
        for number, environment in enumerate(rule.environments):
            if environment not in policies.environments.environments:
                message = f"there is no environment {environment!r}"
                hint = nearest(environment, policies.environments.environments)
                yield found.problem(("secrets", name, "environments", number), message + hint)
        for scope in rule.scopes:
            first = taken.setdefault((rule.variable, scope), name) if rule.variable else name
            if first != name:
                message = f"already holds the secret {first}; use another variable"
                yield found.problem(("secrets", name, "variable"), message)


def _key_problems(root: TrustRoot, found: Document) -> Iterator[str]:
    """Yield a problem for each key with a value that another has, and for each that takes over from none or itself."""
    keys, taken = root.keys, dict[str, str]()
    for name, key in keys.items():
        if key.replaces is not None and key.replaces not in keys:
            message = f"there is no key {key.replaces!r}{nearest(key.replaces, keys)}"
            yield found.problem(("keys", name, "replaces"), message)
        elif name in _replaced(keys, name):
            yield found.problem(("keys", name, "replaces"), "the key would take over from itself")
        if (other := taken.setdefault(key.key, name)) != name:
            yield found.problem(("keys", name, "key"), f"the key {other} has the same value")


def _replaced(keys: Mapping[str, EnrolledKey], name: str) -> list[str]:
    """Return the keys that a key takes over from, directly or through others, each once."""
    chain: list[str] = []
    while (before := keys[name].replaces if name in keys else None) is not None and before not in chain:
        chain.append(before)
        name = before
    return chain


def _stacks(policies: Policies, documents: Mapping[str, Document]) -> Iterator[str]:
    """Yield a problem for each unknown stack and for a cycle in ``after``."""
    stacks = policies.terraform.stacks
    for name in policies.environments.environments:
        if name not in stacks:
            message = f"there is no stack {name!r} in policies/terraform.yml{nearest(name, stacks)}"
            yield documents["environments"].problem(("environments", name), message)
    known = True
    for name, rule in stacks.items():
        for number, other in enumerate(rule.after):
            if other not in stacks:
                known = False
                message = f"there is no stack {other!r}{nearest(other, stacks)}"
                yield documents["terraform"].problem(("stacks", name, "after", number), message)
    if known:
        try:
            tuple(TopologicalSorter({name: rule.after for name, rule in stacks.items()}).static_order())
        except CycleError as error:
            message = f"the stacks wait for each other: {' after '.join(error.args[1])}"
            yield documents["terraform"].problem(("stacks",), message)
