"""Programs started on an event loop: whatever they do, ending them ends."""

import asyncio
import sys

import pytest

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
