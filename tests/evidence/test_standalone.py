"""The second verifier: other tests compare it with ours (`examples.report`); here it runs alone, as a program."""

import ast
import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from factory.evidence import standalone
from factory.evidence.schemas import schemas
from tests.evidence.examples import recorded, statements, trust
from tests.servers import PATIENCE

PROGRAM = Path(standalone.__file__)


def test_it_is_short_and_imports_nothing_of_the_package() -> None:
    text = PROGRAM.read_text()
    assert len(text.splitlines()) < 250
    found = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Import | ast.ImportFrom)]
    names = {alias.name for node in found if isinstance(node, ast.Import) for alias in node.names}
    names |= {str(node.module) for node in found if isinstance(node, ast.ImportFrom)}
    assert {name.split(".")[0] for name in names} <= {*sys.stdlib_module_names, "cryptography"}


def run(folder: Path, tree: Mapping[str, bytes], *more: str) -> Any:
    """Run a copy of the program on a checkout, without the package on its path."""
    checkout = folder / "checkout"
    for path, data in tree.items():
        (checkout / path).parent.mkdir(parents=True, exist_ok=True)
        (checkout / path).write_bytes(data)
    (checkout / ".git").mkdir(exist_ok=True)
    (checkout / ".git/HEAD").write_text("ref: refs/heads/factory/evidence")
    (folder / "verify.py").write_bytes(PROGRAM.read_bytes())
    (folder / "trust.json").write_bytes(trust().write())
    (folder / "schemas.json").write_text(json.dumps(schemas()))
    argv = [sys.executable, "-I", "verify.py", "checkout", "trust.json", "schemas.json", *more]
    return subprocess.run(argv, cwd=folder, capture_output=True, text=True, timeout=PATIENCE, check=False)


def test_a_good_log_passes(tmp_path: Path) -> None:
    done = run(tmp_path, recorded(statements()), "!12")
    assert (done.returncode, done.stdout.strip()) == (0, "10 statements, 0 findings"), done.stderr


@pytest.mark.parametrize("name", ["link", "extra", "changed", "gone"])
def test_a_changed_log_does_not(tmp_path: Path, name: str) -> None:
    tree = recorded(statements())
    path = next(path for path in tree if "-merge-" in path)
    changes = {"extra": {"README.md": b"x"}, "changed": {path: tree[path].replace(b"a", b"b", 1)}, "gone": {path: b""}}
    if name == "link":
        (tmp_path / "checkout/statements").mkdir(parents=True)
        (tmp_path / "checkout/statements/link").symlink_to("/etc/passwd")
    done = run(tmp_path, {**tree, **changes.get(name, {})}, "12")
    assert done.returncode == 1
    assert "FAILED" in done.stdout


def test_a_chain_that_goes_on_is_no_finding(tmp_path: Path) -> None:
    done = run(tmp_path, recorded(statements()[:4]))
    assert done.returncode == 0, done.stdout
    assert "still missing: !12: " in done.stdout
    assert run(tmp_path, recorded(statements()[:4]), "12").returncode == 1
