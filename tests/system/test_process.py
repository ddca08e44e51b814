"""Programs: whatever they write or do, running and ending them ends."""

import asyncio
import sys

import pytest

from factory.errors import OutputTooLarge, ToolTimeout
from factory.system import process
from tests.servers import TOOL_ENV

FLOOD = "import sys\nwhile True: sys.stdout.write('x' * 65536)"
DEAF = "import time; time.sleep(60)"
# A process in a session of its own keeps both pipes open after its group is gone.
HEIR = "import subprocess, time; subprocess.Popen(['sleep', '5'], start_new_session=True); time.sleep(60)"


@pytest.mark.parametrize("program", [FLOOD, DEAF, HEIR], ids=["flood", "deaf", "heir"])
def test_killing_a_group_does_not_wait_for_its_pipes(program: str) -> None:
    async def main() -> int:
        group = await process.start_async([sys.executable, "-c", program], env=TOOL_ENV)
        assert group.process.stdin
        group.process.stdin.write(b"x" * 1_000_000)
        await asyncio.sleep(0.5)
        return await asyncio.wait_for(group.kill(), 4)

    assert asyncio.run(main()) == -9


@pytest.mark.parametrize("output", ["stdout", "stderr"])
def test_output_without_end_is_not_kept(output: str) -> None:
    flood = f"import sys\nwhile True: sys.{output}.write('x' * 65536)"
    with pytest.raises(OutputTooLarge, match="more than 1 MiB"):
        process.run([sys.executable, "-c", flood], env=TOOL_ENV, most=2**20, check=False)


def test_input_output_and_errors_pass_whole() -> None:
    echo = (
        "import sys; data = sys.stdin.buffer.read(); sys.stdout.buffer.write(data); sys.stderr.buffer.write(data[:9])"
    )
    sent = bytes(range(256)) * 4000
    done = process.run([sys.executable, "-c", echo], env=TOOL_ENV, stdin=sent)
    assert (done.stdout, done.stderr) == (sent, sent[:9])


def test_a_program_that_reads_nothing_or_closes_its_outputs() -> None:
    assert process.run(["true"], env=TOOL_ENV, stdin=b"x" * 1_000_000).returncode == 0
    with pytest.raises(ToolTimeout):
        process.run(["sh", "-c", "exec >&- 2>&-; sleep 30"], env=TOOL_ENV, timeout=0.3)
