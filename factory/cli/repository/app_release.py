"""``factory app show`` and ``factory app build``: what an app's file and its defaults say, and its release."""

import tempfile
from dataclasses import asdict
from pathlib import Path

import click

from factory.apps import archive, build
from factory.apps.build import BuildMachine
from factory.apps.resolved import ResolvedApp
from factory.cli import environment, output
from factory.cli.current import repository
from factory.errors import InvalidInput
from factory.model.app_paths import AppPaths
from factory.operations.repository import app_source
from factory.policies.folder import read_folder
from factory.reports.tables import table
from factory.system import canonical, files
from factory.system.toolchain import Toolchain, readable, tool_env, toolchain
from factory.worktrees.person_clone import PersonClone


def machine(tools: Toolchain) -> BuildMachine:
    """Return what builds run with on this machine."""
    env = tool_env(environment.snapshot(), tools)
    return BuildMachine(env, (tools.tools, *readable()))


@click.command()
@click.argument("name", metavar="[APP]", required=False)
@output.as_json
def show(name: str | None, as_json: bool) -> None:
    """Print how an app of the checked-out commit is built and run, and where each value comes from.

    It also lists what files such as a Dockerfile say of that, what of it is unsure, and what could not be read.
    """
    with tempfile.TemporaryDirectory(prefix="factory-app-") as folder:
        try:
            app = _extracted(name, Path(folder))
        except InvalidInput:
            for line in app_source.detected(Path(folder) / "work" / archive.CODE).lines():
                output.say(line)
            raise
        found = app_source.detected(Path(folder) / "work" / archive.CODE)
    rows = [[field, _shown(app, field), origin] for field, origin in sorted(app.origins.items())]
    lines = [app.name, table(["", "", ""], rows).lstrip(), *(f"  {line}" for line in found.lines())]
    output.one({**asdict(app), "detected": asdict(found)}, json_wanted=as_json, text="\n".join(lines))


@click.command(name="build")
@click.argument("name", metavar="[APP]", required=False)
@click.option("--deployed", is_flag=True, help="Build every app that has environments.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("dist"), help="The folder for the archive.")
@output.as_json
def build_(name: str | None, deployed: bool, out: Path, as_json: bool) -> None:
    """Build the release of an app at the checked-out commit, and pack it.

    Its packages come from its lock file alone, by their hashes, and none of their code runs. The build command has no
    network. The same files give the same archive.
    """
    tools = toolchain(environment.snapshot(), repository())
    clone, known = _clone()
    rows = []
    for one in (
        app_source.deployed(clone) if deployed else [app_source.chosen(app_source.names(clone.paths(), known), name)]
    ):
        with tempfile.TemporaryDirectory(prefix="factory-app-") as folder:
            app = _extracted(one, Path(folder))
            packed = build.build(app, Path(folder) / "work", machine(tools), say=output.say)
        path = out / archive.file_name(one)
        files.write_atomic(path, packed)
        rows.append({"app": one, "archive": str(path), "bytes": len(packed), "digest": canonical.digest(packed)})
    output.rows(rows, ("archive", "bytes", "digest"), json_wanted=as_json, empty="no app has environments")


def _extracted(name: str | None, folder: Path) -> ResolvedApp:
    given, (clone, known) = environment.snapshot(), _clone()
    found = app_source.chosen(app_source.names(clone.paths(), known), name)
    env = tool_env(given, toolchain(given, clone.path))
    return app_source.extract(clone.path, clone.head(), found, known, folder / "work", env=env)


def _clone() -> tuple[PersonClone, AppPaths]:
    root = repository()
    return PersonClone(root, environment.snapshot()).whole(), read_folder(root).apps.paths


def _shown(app: ResolvedApp, field: str) -> str:
    named: dict[str, object] = {"build.command": app.build, "build.files": app.files, "limits.memory_mb": app.memory_mb}
    named |= {f"checks.{gate}": told for gate, told in app.checks.items()}
    value = named.get(field, getattr(app, field.rpartition(".")[2], ""))
    return " ".join(value) if isinstance(value, tuple) else "" if value == {} else str(value)
