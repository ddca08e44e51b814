"""The package alone: the wheel, installed in a new environment with what it declares, and nothing of this checkout."""

import io
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from factory.operations.repository import toolkit_wheel
from tests.servers import PATIENCE, ROOT

UV = Path(sys.executable).with_name("uv")
pytestmark = pytest.mark.skipif(not UV.exists(), reason="uv is not installed: run `make setup`")
# Imports every module of the package; prints those that need a package which is not installed.
IMPORT_ALL = """
import importlib, pkgutil, factory
for module in pkgutil.walk_packages(factory.__path__, "factory."):
    if module.name.endswith(("__main__", "push_rule_check")):
        continue
    try:
        importlib.import_module(module.name)
    except ModuleNotFoundError as error:
        print(module.name, error.name)
"""


def run(arguments: Sequence[str | Path], cwd: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(arguments, cwd=cwd, capture_output=True, text=True, timeout=PATIENCE, check=False)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out, source = tmp_path_factory.mktemp("wheel"), tmp_path_factory.mktemp("source")
    shutil.copytree(ROOT / "factory", source / "factory", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    argv = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "-q",
        "--no-deps",
        "--no-build-isolation",
        "-w",
        str(out),
        str(source),
    ]
    done = run(argv, source)
    assert done.returncode == 0, done.stderr
    return next(out.glob("*.whl"))


@pytest.fixture(scope="module")
def python(wheel: Path) -> Path:
    """Return the interpreter of an environment that has the wheel and what it declares, in locked versions."""
    place = wheel.parent / "venv"
    assert run([UV, "venv", "--quiet", "--python", sys.executable, place], wheel.parent).returncode == 0
    install(place / "bin/python", str(wheel))
    return place / "bin/python"


def install(python: Path, package: str) -> None:
    locked = ROOT / "requirements.lock"
    argv: list[str | Path] = [UV, "pip", "install", "--quiet", "--python", python, "--constraint", locked, package]
    done = run(argv, python.parent)
    assert done.returncode == 0, done.stderr


@pytest.mark.long
def test_each_module_imports(python: Path, wheel: Path) -> None:
    complete = run([python, "-I", "-c", IMPORT_ALL], wheel.parent)
    assert (complete.stdout, complete.returncode) == ("", 0), complete.stderr


@pytest.mark.long
def test_it_has_the_files_that_a_repository_gets(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as built, zipfile.ZipFile(io.BytesIO(toolkit_wheel.pack())) as packed:
        names = [
            {name for name in archive.namelist() if name.startswith("factory/defaults/")} for archive in (built, packed)
        ]
    assert names[0] == names[1]
    assert "factory/defaults/terraform/modules/stack/main.tf" in names[0]


@pytest.mark.long
def test_a_few_commands_run(python: Path, wheel: Path) -> None:
    factory = python.with_name("factory")
    version = run([factory, "--version"], wheel.parent)
    assert version.stdout.strip() == __import__("factory").__version__
    assert "Usage: factory" in run([factory, "--help"], wheel.parent).stdout
    outside = run([factory, "policy", "check"], wheel.parent)
    assert outside.returncode == 3
    assert outside.stderr.count("is not in a control repository") == 1
    inside = run([factory, "policy", "check"], ROOT)
    assert inside.returncode == 0, inside.stderr
    lint = run([factory, "spec", "lint"], ROOT)
    assert lint.returncode == 0, lint.stderr


def test_the_version_is_said_in_one_place() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert "version" not in project["project"]
    assert project["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "factory.__version__"}
