"""The wrapper `scripts/factory` runs the clone's own environment, and sets it up first if that is missing."""

import subprocess
from pathlib import Path

from tests.servers import ROOT

SCRIPT = ROOT / "scripts/factory"


def clone(folder: Path) -> Path:
    """Return a folder that looks like a clone: `make setup` there writes a factory that prints its arguments."""
    (folder / "scripts").mkdir()
    script = folder / "scripts/factory"
    script.write_bytes(SCRIPT.read_bytes())
    script.chmod(0o755)
    recipe = "printf '#!/bin/sh\\necho \"ran $$*\"\\n' > .venv/bin/factory"
    lines = [
        "@mkdir -p .venv/bin",
        f"@{recipe}",
        "@chmod +x .venv/bin/factory",
        "@touch .venv/ready",
        "@echo set up >&2",
    ]
    (folder / "Makefile").write_text("setup:\n" + "".join(f"\t{line}\n" for line in lines))
    return script


def test_it_sets_up_once_and_passes_arguments_on(tmp_path: Path) -> None:
    script = clone(tmp_path)
    first, second = (
        subprocess.run([script, "mr", "show", "1 2"], cwd="/", capture_output=True, text=True, check=True)
        for _ in range(2)
    )
    assert (first.stdout, first.stderr) == ("ran mr show 1 2\n", "set up\n")
    assert (second.stdout, second.stderr) == ("ran mr show 1 2\n", "")


def test_a_failed_setup_starts_nothing(tmp_path: Path) -> None:
    script = clone(tmp_path)
    (tmp_path / "Makefile").write_text("setup:\n\t@exit 1\n")
    done = subprocess.run([script], capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert done.stdout == ""


def test_wrappers_are_short() -> None:
    for path in (ROOT / "scripts").iterdir():
        assert len(path.read_text().splitlines()) <= 20, path
        assert path.stat().st_mode & 0o111, path
