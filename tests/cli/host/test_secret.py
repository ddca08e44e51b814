"""``factory host secret``: the value comes from standard input, and only names are printed."""

import json
import subprocess
import sys
from pathlib import Path

from tests.servers import TOOL_PATH


def secret(folder: Path, *argv: str, value: str = "") -> "subprocess.CompletedProcess[str]":
    given = ("production", *argv, "--state", str(folder / "host"))
    return subprocess.run(
        [sys.executable, "-m", "factory", "host", "secret", *given],
        input=value,
        cwd=Path(__file__).parents[3],
        env={"PATH": TOOL_PATH, "HOME": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_secret_is_kept_listed_and_removed(tmp_path: Path) -> None:
    assert "shop has no secret here" in secret(tmp_path, "shop").stdout
    done = secret(tmp_path, "shop", "KEY", value="a b\nc\n")
    assert (done.returncode, "KEY is kept" in done.stdout) == (0, True)
    [path] = (tmp_path / "host").rglob("shop.json")
    assert json.loads(path.read_text()) == {"KEY": "a b\nc"}
    assert json.loads(secret(tmp_path, "shop", "--json").stdout) == [{"name": "KEY"}]
    assert "a b" not in done.stdout + done.stderr
    assert secret(tmp_path, "shop", "KEY", "--remove").returncode == 0
    assert secret(tmp_path, "shop", "KEY", "--remove").returncode == 4


def test_what_is_no_secret_is_refused(tmp_path: Path) -> None:
    for argv, value, said in [
        (("shop", "KEY"), "", "the value is empty"),
        (("shop", "KEY"), "x" * 70_000, "at most 65536 characters"),
        (("shop", "key"), "x", "'key' must match"),
        (("../shop", "KEY"), "x", "'../shop' must match"),
    ]:
        done = secret(tmp_path, *argv, value=value)
        assert (done.returncode, said in done.stderr) == (3, True), done.stderr
