"""``factory spec``: writes and lints specs, and traces requirements to tests."""

import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from itertools import zip_longest
from pathlib import Path

import click

from factory.cli import environment, output
from factory.cli.current import current
from factory.errors import Conflict, GateFailed, InvalidInput, NotFound
from factory.model.verdict import Finding, judged
from factory.operations.collect import specs as spec_facts
from factory.reports import findings as reports
from factory.reports.tables import table
from factory.specs import read as specs
from factory.specs.lint import lint
from factory.specs.new import ASKS, render
from factory.specs.trace import Row, Trace
from factory.system import files

_NAME = "spec"
_NO_EVIDENCE = "none in this checkout (`factory --instance NAME spec trace` reads an instance's, `demo` is the demo's)"


@click.group()
def command() -> None:
    """Write and lint specs, and trace requirements to tests and results."""


@command.command()
@click.argument("spec", required=False, metavar="[ID]")
@click.option("--title", help="The title.")
@click.option("--owner", help="The person responsible for the spec.")
@click.option("--outcome", help="Who gets which benefit, and how they notice it.")
@click.option("--structure", help="Where the code is, its parts, and its dependencies.")
@click.option("--contract", help="The interface that others rely on.")
@click.option("--requirement", "requirements", multiple=True, help="What must be true; can be repeated.")
@click.option("--scenario", "scenarios", multiple=True, help="The scenario of the requirement at the same position.")
@output.as_json
def new(
    spec: str | None,
    requirements: tuple[str, ...],
    scenarios: tuple[str, ...],
    as_json: bool,
    **texts: str | None,
) -> None:
    """Write specs/ID.md and list its open points; on a terminal, ask for missing values."""
    root = spec_facts.repository()
    if len(scenarios) > len(requirements):
        raise InvalidInput("there are more --scenario options than --requirement options")
    values = {"id": spec, **texts}
    asking = sys.stdin.isatty()
    missing = [name for name in ("id", "title", "owner") if not values[name]]
    if missing and not asking:
        options = ", ".join("ID" if name == "id" else f"--{name}" for name in missing)
        raise InvalidInput(
            f"missing: {options}", hint="Set the missing options, or run it on a terminal, where it asks."
        )
    name = values.pop("id") or click.prompt("id (lowercase letters, digits, hyphens)", err=True)
    path = specs.path_of(name)
    if specs.is_id(name) and (root / path).exists():
        raise Conflict(f"{path} already exists", hint="Edit it, or choose another id.")
    pairs = list(zip_longest(requirements, scenarios, fillvalue=""))
    if asking:
        values = {key: value or _ask(key) for key, value in values.items()}
        pairs = pairs or _ask_requirements()
    content = render(spec=name, requirements=pairs, **{key: value or "" for key, value in values.items()}).encode()
    files.write_atomic(root / path, content)
    found = _found({**spec_facts.contents(root), path: content}, root, [path])
    lines = [f"{path} is written", *(f"  still open, line {item.line}: {item.message}" for item in found)]
    value = {"path": path, "open": [asdict(finding) for finding in found]}
    output.one(value, json_wanted=as_json, text="\n".join(lines))


@command.command(name="list")
@output.as_json
def list_(as_json: bool) -> None:
    """List the specs."""
    columns = ("id", "status", "version", "owner", "requirements", "title")
    found: list[dict[str, object]] = []
    for path, content in spec_facts.contents(spec_facts.repository()).items():
        spec = specs.examine(content)
        if isinstance(spec, specs.Fault):
            row = {**dict.fromkeys(columns), "id": Path(path).stem, "status": "unreadable"}
            found.append({**row, "title": f"line {spec.line}: {spec.message}"})
        else:
            row = {name: getattr(spec, name) for name in specs.KEYS}
            found.append({**row, "requirements": len(spec.requirements)})
    output.rows(found, columns, json_wanted=as_json, empty="no specs; write one with `factory spec new`")


@command.command()
@click.argument("spec", metavar="ID")
@output.as_json
def show(spec: str, as_json: bool) -> None:
    """Show a spec; --json adds the digest of each requirement with its scenarios."""
    path = specs.path_of(spec)
    content = spec_facts.contents(spec_facts.repository()).get(path)
    if content is None:
        raise NotFound(f"{path} does not exist", hint="List the specs with `factory spec list`.")
    found = specs.read(content, source=path)
    value = {name: getattr(found, name) for name in (*specs.KEYS, "digest", "body")}
    value["requirements"] = [{**asdict(item), "digest": item.digest} for item in found.requirements]
    head = f"{found.id} {found.title}\n{found.status}, version {found.version}, {found.owner}\n\n"
    output.one(value, json_wanted=as_json, text=head + found.body)


@command.command(name="lint")
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "--code-quality",
    "quality",
    type=click.Path(path_type=Path),
    help="Also write a GitLab Code Quality report to this file.",
)
@output.as_json
def lint_(paths: tuple[Path, ...], quality: Path | None, as_json: bool) -> None:
    """Find missing and ambiguous content in all specs or in PATHS; ids must be unique across all specs."""
    root = spec_facts.repository()
    contents = spec_facts.contents(root)
    chosen = {_relative(file, root): file for path in paths for file in _files(path)}
    contents |= {name: files.read_bytes(file) for name, file in chosen.items()}
    found = _found(contents, root, sorted(chosen) if paths else sorted(contents))
    verdict = judged(_NAME, found)
    if quality:
        files.write_atomic(quality, reports.code_quality([verdict]).encode())
    count = len(chosen) if paths else len(contents)
    text = "\n".join(reports.lines([verdict])) if found else f"nothing is open (specs: {count})"
    output.one([asdict(finding) for finding in found], json_wanted=as_json, text=text)
    if found:
        hint = "Fix the findings above, then run `factory spec lint` again."
        raise GateFailed(f"findings: {len(found)}", hint=hint)


@command.command(name="trace")
@click.argument("name", required=False, metavar="[ID]")
@click.option(
    "--junit",
    "junit_files",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Read test results from this JUnit file.",
)
@output.as_json
def trace_(name: str | None, junit_files: tuple[Path, ...], as_json: bool) -> None:
    """Show the issues, commits, tests and results of all requirements, or those of a spec or requirement ID.

    It reads this checkout; with `factory --instance NAME`, main as that instance has it.
    """
    given = environment.snapshot()
    if (click.get_current_context().find_root().obj or {}).get("instance"):
        with spec_facts.main_of(current().state / "mirror.git", given) as main:
            found, recorded = spec_facts.traced(given, main, junit_files)
    else:
        found, recorded = spec_facts.traced(given, spec_facts.repository(), junit_files)
    if name:
        found = found.only(name)
        if not found.rows:
            raise NotFound(f"there is no spec or requirement {name}", hint="List the specs with `factory spec list`.")
    source = f"{recorded.ref} (unverified; `factory evidence verify` verifies it)" if recorded.ref else _NO_EVIDENCE
    value = {**asdict(found), "evidence": {"ref": recorded.ref, "verified": False}}
    output.one(value, json_wanted=as_json, text="\n".join([*_trace_lines(found), "", f"recorded evidence: {source}"]))
    if found.findings:
        hint = "Fix the findings above, then run `factory spec trace` again."
        raise GateFailed(f"findings: {len(found.findings)}", hint=hint)


def _ask(name: str) -> str:
    if name in ("title", "owner"):
        return str(click.prompt(name, err=True))
    return str(click.prompt(f"{name}: {ASKS[name]} (Enter: later)", default="", show_default=False, err=True))


def _ask_requirements() -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    while text := click.prompt(
        f"requirement: {ASKS['requirement']} (Enter: no more)", default="", show_default=False, err=True
    ):
        scenario = click.prompt("  Given …, When …, Then … (Enter: later)", default="", show_default=False, err=True)
        found.append((text, scenario))
    return found


def _files(path: Path) -> list[Path]:
    return sorted(path.glob("*.md")) if path.is_dir() else [path]


def _relative(path: Path, root: Path) -> str:
    full = Path(os.path.normpath(Path.cwd() / path))
    return full.relative_to(root).as_posix() if full.is_relative_to(root) else path.as_posix()


def _found(contents: dict[str, bytes], root: Path, paths: Sequence[str]) -> list[Finding]:
    found = lint(contents, exists=lambda path: (root / path).exists())
    return [finding for finding in found if finding.path in paths]


def _trace_lines(trace: Trace) -> list[str]:
    headings = ("requirement", "status", "issues", "merge requests", "commits", "tests", "result")
    lines = [table(headings, [_cells(row) for row in trace.rows])] if trace.rows else ["no requirements"]
    if trace.findings:
        lines += ["", *reports.lines([judged("trace", list(trace.findings))])]
    for item in trace.waived:
        waiver = item.waiver
        lines.append(f"waived until {waiver.expires} by {waiver.owner}: {item.finding.message} ({waiver.reason})")
    return lines


def _cells(row: Row) -> list[object]:
    return [
        row.requirement,
        row.status,
        [f"#{iid}" for iid in row.issues],
        [f"!{iid}" for iid in row.merge_requests],
        [sha[:8] for sha in row.commits[:3]] + ([f"+{len(row.commits) - 3}"] if len(row.commits) > 3 else []),  # noqa: PLR2004 - what a line holds
        [test.name for test in row.tests],
        row.result,
    ]
