"""Expands a pipeline definition into jobs; gitlab-ci-local does this and evaluates the rules of the jobs.

The definition may come from another ref than the code (``ci_config_path`` with ``@project:ref``). Its file and all
files that it includes then replace the code's copies in the checkout.
"""

import json
import re
import tempfile
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from factory.errors import InvalidInput, MachineError, ToolFailed
from factory.local_gitlab.serving.git import Repository
from factory.system import canonical, files, process, strict_yaml

_DEFAULTS = ("retry", "interruptible", "timeout", "tags", "id_tokens", "artifacts", "cache")
_DURATION = re.compile(r"(\d+)\s*(seconds?|secs?|s|minutes?|mins?|m|hours?|hrs?|h|days?|d|weeks?|w)?\b")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
# The result of a definition with one of these keywords depends on more than its text and the variables of its rules.
_LOOKS_AT_FILES = frozenset({"changes", "exists", "include"})
_UNKEYED = _LOOKS_AT_FILES | {"only", "except", "matrix", "trigger"}
_VARIABLE = re.compile(r"\$\{?([A-Za-z_][A-Za-z0-9_]*)")
_DEFINITIONS: dict[tuple[Path, str, str], bytes | None] = {}


@dataclass(frozen=True)
class Source:
    """The repository and commits of a pipeline's definition and code."""

    repository: Repository
    config_file: str
    config_sha: str
    sha: str
    compare_sha: str
    origin_url: str


def parse_config_path(setting: str | None) -> tuple[str, str | None, str | None]:
    """Split the project setting ``ci_config_path`` into file, project path and ref (docs: custom CI/CD file)."""
    if not setting:
        return ".gitlab-ci.yml", None, None
    name, _, elsewhere = setting.partition("@")
    project, _, ref = elsewhere.partition(":")
    return name, project or None, ref or None


def read_definition(repository: Repository, sha: str, name: str) -> dict[str, Any] | None:
    """Return a definition as written, or ``None`` if the file does not exist; raises ``InvalidInput`` for bad YAML."""
    key = (repository.path, sha, name)
    if key not in _DEFINITIONS:
        _DEFINITIONS[key] = repository.read(sha, name)
    content = _DEFINITIONS[key]
    if content is None:
        return None
    text = content.decode(errors="replace")
    return strict_yaml.load_mapping(re.sub(r"!reference\b", "", text), source=name)


def workflow_rules(definition: Mapping[str, Any], name: str) -> Any:
    """Return a definition's ``workflow:rules``, or ``None``; raises ``InvalidInput``."""
    workflow = definition.get("workflow") or {}
    if not isinstance(workflow, Mapping):
        raise InvalidInput(f"{name}: workflow should be a hash")
    return workflow.get("rules")


def duration(value: Any, default: int) -> int:
    """Return a duration such as ``15 minutes`` or ``1h 30m`` in seconds."""
    if value is None:
        return default
    found = _DURATION.findall(str(value).lower())
    return sum(int(number) * _SECONDS[(unit or "s")[0]] for number, unit in found) or default


def expand(
    source: Source,
    variables: Mapping[str, str],
    *,
    program: tuple[str, ...],
    env: Mapping[str, str],
    kept: Path,
    given: Mapping[str, str] | None = None,
) -> list[dict[str, Any]]:
    """Return the pipeline's jobs in order, each with its evaluated ``when`` and its expanded keywords.

    ``given`` are the variables of the workflow rule that admitted the pipeline; they override the definition's global
    variables. ``kept`` is a cache folder of earlier results. Raises ``InvalidInput`` with the definition's error.
    """
    raw = read_definition(source.repository, source.config_sha, source.config_file) or {}
    key = _key(source, raw, variables, program)
    found = _cached(kept, key) if key else None
    if found is None:
        found = _run(source, variables, program=program, env=env)
        if key:
            with suppress(MachineError):  # without the cache, the next pipeline only takes a second longer
                files.write_atomic(kept / f"{key}.json", json.dumps(found, default=str).encode())
    listed, expanded = found
    expanded["variables"] = {**(expanded.get("variables") or {}), **(given or {})}
    return _join(listed, expanded, raw.get("default") or {})


def _cached(kept: Path, key: str) -> tuple[list[dict[str, Any]], dict[str, Any]] | None:
    """Return a cached result, or ``None`` if it is missing or unreadable."""
    try:
        listed, expanded = json.loads(files.read_text(kept / f"{key}.json"))
    except (InvalidInput, ValueError):
        return None
    return (listed, expanded) if isinstance(listed, list) and isinstance(expanded, dict) else None


def _key(source: Source, raw: Mapping[str, Any], variables: Mapping[str, str], program: tuple[str, ...]) -> str | None:
    """Return a cache key from program, text and the variables of rules; ``None`` if the result depends on more."""
    if _keywords(raw) & _UNKEYED:
        return None
    text = source.repository.read(source.config_sha, source.config_file) or b""
    values = {name: variables.get(name) for name in sorted(_rule_variables(raw))}
    package = Path(program[-1]).parents[1] / "package.json"
    version = canonical.digest(files.read_bytes(package)) if package.exists() else list(program)
    return canonical.digest_of([version, canonical.digest(text), values]).removeprefix("sha256:")


def _keywords(value: Any) -> frozenset[str]:
    """Return all keys of a definition, at any depth."""
    if isinstance(value, list):
        return frozenset[str]().union(*(_keywords(item) for item in value))
    if not isinstance(value, dict):
        return frozenset()
    return frozenset(map(str, value)).union(*(_keywords(item) for item in value.values()))


def _rule_variables(raw: Mapping[str, Any]) -> set[str]:
    """Return the variables that rules name, and the variables that their values refer to."""
    rules, values = _rules(raw), _own_variables(raw)
    found: set[str] = set()
    fresh = set(_VARIABLE.findall(json.dumps(rules)))
    while fresh:
        found |= fresh
        fresh = {name for known in fresh for text in values.get(known, ()) for name in _VARIABLE.findall(text)} - found
    return found


def _rules(value: Any) -> list[str]:
    """Return all ``if`` expressions of a definition."""
    if isinstance(value, list):
        return [text for item in value for text in _rules(item)]
    if not isinstance(value, dict):
        return []
    own = [str(value["if"])] if "if" in value else []
    return own + [text for item in value.values() for text in _rules(item)]


def _own_variables(value: Any) -> dict[str, list[str]]:
    """Return all values that a definition gives each variable, at any depth: globally, in jobs and in rules."""
    found: dict[str, list[str]] = {}
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        for name, texts in _own_variables(item).items():
            found.setdefault(name, []).extend(texts)
    own = value.get("variables") if isinstance(value, dict) else None
    for name, text in own.items() if isinstance(own, dict) else ():
        found.setdefault(str(name), []).append(json.dumps(text))
    return found


def _run(
    source: Source, variables: Mapping[str, str], *, program: tuple[str, ...], env: Mapping[str, str]
) -> tuple[Any, dict[str, Any]]:
    """List the jobs and expand the definition with gitlab-ci-local, which validates it against GitLab's schema."""
    with tempfile.TemporaryDirectory(prefix="factory-ci-") as folder:
        checkout = Path(folder) / "code"
        _lay_out(source, checkout, env)
        settings = Path(folder) / "variables.json"
        files.write_atomic(settings, json.dumps(dict(variables)).encode(), mode=0o600)
        common = [
            *program,
            "--variables-file",
            f"../{settings.name}",  # gitlab-ci-local resolves the path from its working folder
            "--ignore-predefined-vars",
            ",".join(variables),
            "--file",
            source.config_file,
        ]

        def call(*options: str) -> str:
            return _call([*common, *options], checkout, {**env, "HOME": folder})

        with ThreadPoolExecutor(2) as pool:
            listing = pool.submit(call, "--list-json", "--no-json-schema-validation")
            preview = pool.submit(call, "--preview")
            expanded = strict_yaml.load_mapping(_from(preview.result(), "---"), source=source.config_file)
            return json.loads(_from(listing.result(), "[")), expanded


def _lay_out(source: Source, checkout: Path, env: Mapping[str, str]) -> None:
    """Create the checkout: the code if rules read files, the definition over it, ``origin/HEAD`` at ``compare_sha``."""

    def git(*arguments: str) -> None:
        process.run(["git", *arguments], cwd=checkout if checkout.exists() else checkout.parent, env=env)

    git("clone", "--quiet", "--shared", "--no-checkout", str(source.repository.path), str(checkout))
    git("config", "core.quotePath", "false")  # rules:changes compares the names as they are
    git("update-ref", "--no-deref", "HEAD", source.sha)
    definition = read_definition(source.repository, source.config_sha, source.config_file)
    if _keywords(definition) & _LOOKS_AT_FILES:
        git("reset", "--quiet", "--hard")
    git("remote", "set-url", "origin", source.origin_url)
    git("update-ref", "refs/remotes/origin/main", source.compare_sha)
    git("symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/main")
    for path in checkout.glob(".gitlab-ci-local*"):
        files.remove_tree(path) if path.is_dir() else path.unlink()
    _overlay(source, source.config_file, checkout, seen=set())


def _overlay(source: Source, name: str, checkout: Path, *, seen: set[str]) -> None:
    if name in seen:
        return
    seen.add(name)
    content = source.repository.read(source.config_sha, name)
    target = files.contained(checkout, name)
    if content is None:
        target.unlink(missing_ok=True)
        return
    if target.is_symlink():
        target.unlink()
    files.write_atomic(target, content)
    definition = read_definition(source.repository, source.config_sha, name) or {}
    includes = definition.get("include") or []
    for item in includes if isinstance(includes, list) else [includes]:
        local = item if isinstance(item, str) else item.get("local")
        if local:
            _overlay(source, str(local).lstrip("/"), checkout, seen=seen)


def _call(argv: list[str], checkout: Path, env: Mapping[str, str]) -> str:
    try:
        return process.run(argv, cwd=checkout, env=env, timeout=60).text
    except ToolFailed as failed:
        raise InvalidInput(str(failed)) from failed


def _from(text: str, start: str) -> str:
    """Drop warnings that precede the document on standard output."""
    position = text.find(start)
    return text[max(position, 0) :]


def _join(listed: list[dict[str, Any]], expanded: dict[str, Any], default: dict[str, Any]) -> list[dict[str, Any]]:
    stages = expanded.get("stages") or [".pre", "build", "test", "deploy", ".post"]
    jobs = []
    for item in listed:
        if item["when"] == "never":
            continue
        name = item["name"]
        own = expanded.get(name) or expanded.get(re.sub(r": \[.*\]$", "", name)) or {}
        inherit = own.get("inherit") or {}
        usual = _inherited(inherit.get("default", True), {key: default[key] for key in _DEFAULTS if key in default})
        keywords = {**usual, **own}
        shared = _inherited(inherit.get("variables", True), expanded["variables"])
        jobs.append(
            {
                **keywords,
                "name": name,
                "stage": item["stage"],
                "stage_index": stages.index(item["stage"]),
                "when": item["when"],
                **_allowed_failure(item.get("allow_failure")),
                "needs": item.get("needs"),
                "variables": {**shared, **(keywords.get("variables") or {})},
            }
        )
    return jobs


def _inherited(setting: Any, values: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what a job takes of the defaults or of the global variables (docs: inherit): all, none or those named."""
    if isinstance(setting, bool):
        return values if setting else {}
    return {name: value for name, value in values.items() if name in setting}


def _allowed_failure(setting: Any) -> dict[str, Any]:
    """Return whether a job may fail, and with which exit codes it may (docs: allow_failure:exit_codes)."""
    if not isinstance(setting, Mapping):
        return {"allow_failure": bool(setting), "allowed_exit_codes": []}
    codes = setting.get("exit_codes", [])
    return {"allow_failure": False, "allowed_exit_codes": codes if isinstance(codes, list) else [codes]}
