"""What an app's tests need, installed from wheels, once for the same files."""

import subprocess
from pathlib import Path

import pytest

from factory.errors import InvalidInput, Refused
from factory.operations.repository import app_environment, app_tests
from factory.policies.folder import read_folder
from factory.policies.model import Apps
from tests.servers import ROOT, TOOL_ENV

FILES = {
    "requirements.txt": b"-r requirements/base.txt\n-e .\n.[test]\n./\n",
    "requirements/base.txt": b"-c ../constraints.txt\nmarkupsafe\n",
    "constraints.txt": b"markupsafe==3.0.2\njinja2==3.1.6\n",
}


def test_files_that_are_missing_are_named() -> None:
    apps = Apps(root="shop", sources=("shop",), install=("uv.lock", "requirements.txt"))
    with pytest.raises(InvalidInput, match=r"uv\.lock, which does not exist"):
        app_environment.needed(apps, {"requirements.txt": b""})
    given = {"uv.lock": b"1", "pyproject.toml": b"2", "requirements.txt": b"3", "other": b"4"}
    assert set(app_environment.needed(apps, given)) == {"uv.lock", "pyproject.toml", "requirements.txt"}


@pytest.mark.long
def test_the_packages_are_installed_once_and_the_app_is_not(tmp_path: Path) -> None:
    python = app_environment.ensure(tmp_path, FILES, env=TOOL_ENV)
    made = python.stat().st_ctime_ns
    code = (
        "import markupsafe, pytest, coverage, importlib.util\n"
        "print(markupsafe.__file__, importlib.util.find_spec('jinja2'))"
    )
    found = subprocess.run([python, "-I", "-c", code], capture_output=True, text=True, check=True).stdout
    assert str(tmp_path) in found
    assert found.strip().endswith("None"), "a constraint is no requirement"
    assert app_environment.ensure(tmp_path, FILES, env=TOOL_ENV) == python
    assert python.stat().st_ctime_ns == made


@pytest.mark.long
def test_what_cannot_be_installed_leaves_nothing(tmp_path: Path) -> None:
    for text in (b"no-such-package-of-ours==9.9\n", b"tf==0.0.0\n", b"not a requirement at all !!\n"):
        found = {"requirements.txt": text}
        with pytest.raises(InvalidInput, match="cannot be installed"):
            app_environment.ensure(tmp_path, found, env=TOOL_ENV)
        assert not list(tmp_path.glob("*/ready"))


@pytest.mark.long
def test_installing_runs_no_code_of_a_package(tmp_path: Path) -> None:
    source = tmp_path / "evil"
    source.mkdir()
    mark = tmp_path / "mark"
    (source / "setup.py").write_text(f"open({str(mark)!r}, 'w')\nfrom setuptools import setup\nsetup(name='evil')\n")
    with pytest.raises(InvalidInput):
        app_environment.ensure(tmp_path / "made", {"requirements.txt": f"{source}\n".encode()}, env=TOOL_ENV)
    assert not mark.exists()


def test_a_file_that_leads_out_of_the_checkout_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("password\n")
    checkout = tmp_path / "checkout"
    checkout.mkdir()
    (checkout / "requirements.txt").symlink_to("../secret")
    rules = read_folder(ROOT).model_copy(
        update={"apps": Apps(root="shop", sources=("shop",), install=("requirements.txt",))}
    )
    with pytest.raises(Refused, match="outside"):
        app_tests.of_checkout(tmp_path / "made", rules, checkout, env=TOOL_ENV)
    (checkout / "requirements.txt").unlink()
    (checkout / "requirements.txt").write_text(f"-r {tmp_path}/secret\n")
    with pytest.raises(InvalidInput, match="which `install` in policies") as caught:
        app_tests.of_checkout(tmp_path / "made", rules, checkout, env=TOOL_ENV)
    assert "password" not in str(caught.value)
