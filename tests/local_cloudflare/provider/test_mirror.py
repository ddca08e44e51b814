"""The mirror: same arguments, same bytes, and a script that any folder name survives."""

import subprocess
import sys
from pathlib import Path

from factory.local_cloudflare.provider import mirror


def script(root: Path) -> Path:
    return next(root.rglob("terraform-provider-cloudflare_v5.14.0"))


def test_the_same_arguments_give_the_same_bytes(tmp_path: Path) -> None:
    config = mirror.write(tmp_path / "one", "/usr/bin/python3")
    first = (config.read_bytes(), script(tmp_path / "one").read_bytes())
    assert mirror.write(tmp_path / "one", "/usr/bin/python3") == config
    assert (config.read_bytes(), script(tmp_path / "one").read_bytes()) == first
    mirror.write(tmp_path / "two", "/usr/bin/python3")
    assert script(tmp_path / "two").read_bytes() == first[1], "the hash in a lock file does not depend on the folder"


def test_the_script_lies_where_terraform_looks(tmp_path: Path) -> None:
    mirror.write(tmp_path, "/usr/bin/python3")
    path = script(tmp_path).relative_to(tmp_path)
    assert path.parts[:4] == ("registry.terraform.io", "cloudflare", "cloudflare", "5.14.0")
    assert script(tmp_path).stat().st_mode & 0o777 == 0o755


def test_the_configuration_names_the_mirror_and_nothing_else(tmp_path: Path) -> None:
    root = tmp_path / 'a "quoted" ${name}'
    text = mirror.write(root, "/usr/bin/python3").read_text()
    assert "disable_checkpoint = true" in text
    assert '\\"quoted\\" $${name}"' in text
    assert "direct" not in text


def test_an_interpreter_with_a_long_and_odd_path_is_started(tmp_path: Path) -> None:
    odd = tmp_path / ("it's " + "long " * 30)
    odd.mkdir()
    python = odd / "python"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    mirror.write(tmp_path / "mirror", str(python))
    done = subprocess.run(
        [script(tmp_path / "mirror")],
        env={"CLOUDFLARE_BASE_URL": "https://api.cloudflare.com/client/v4"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 5
    assert done.stdout.startswith("CLOUDFLARE_BASE_URL is https://api.cloudflare.com/client/v4, but this provider is a")
