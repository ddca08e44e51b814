"""Each module of ``terraform/modules`` has tests in Terraform's own form; here they run against the double."""

import subprocess
from pathlib import Path

import pytest

from tests.local_cloudflare.double import Double
from tests.local_cloudflare.root import TERRAFORM, environment, tree

MODULES = sorted(path.parent.name for path in TERRAFORM.glob("modules/*/main.tf"))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("modules")
    tree(folder)
    return folder


@pytest.mark.long
@pytest.mark.matrix(1)
@pytest.mark.parametrize("module", MODULES)
def test_the_tests_of_a_module_pass(module: str, place: Path, shared: Double) -> None:
    folder = place / "terraform" / "modules" / module
    for command in (["init", "-input=false"], ["test", "-no-color"]):
        done = subprocess.run(
            ["terraform", *command],
            cwd=folder,
            env=environment(place, shared),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
    assert ", 0 failed" in done.stdout


@pytest.mark.parametrize("module", MODULES)
def test_a_module_takes_a_range_of_providers_and_configures_none(module: str) -> None:
    texts = "".join(path.read_text() for path in (TERRAFORM / "modules" / module).glob("*.tf"))
    assert 'version = ">= 5.14.0, < 6.0.0"' in texts
    assert 'provider "' not in texts
    assert list((TERRAFORM / "modules" / module / "tests").glob("*.tftest.hcl"))


def test_everything_is_formatted() -> None:
    done = subprocess.run(["terraform", "fmt", "-check", "-recursive", TERRAFORM], capture_output=True, check=False)
    assert done.returncode == 0, done.stdout
