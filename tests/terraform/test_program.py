"""What terraform prints has a limit."""

from pathlib import Path

import pytest

from factory.errors import OutputTooLarge
from factory.terraform.program import Terraform
from tests.servers import TOOL_PATH


def test_a_plan_whose_json_is_too_large_is_refused(tmp_path: Path) -> None:
    program = tmp_path / "terraform"
    program.write_text("#!/bin/sh\nexec yes 0123456789\n")
    program.chmod(0o700)
    with pytest.raises(OutputTooLarge, match=r"^the plan's JSON has more than 64 MiB$") as caught:
        Terraform(tmp_path, program=str(program), env={"PATH": TOOL_PATH}).show("plan.tfplan")
    assert "Split the stack" in caught.value.hint
