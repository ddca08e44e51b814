"""Two machines record in one log at the same moment, each with its own key."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from factory.evidence.trust import TrustedKey
from factory.evidence.verify import verify
from factory.workflow.context import Context, Recorder
from factory.workflow.recorder import read_tree, record
from factory.worktrees.repository import Mirror
from tests.evidence import examples
from tests.workflow.recorded_gitlab import world

_EACH = 6


def test_two_machines_at_the_same_moment_lose_no_statement(tmp_path: Path) -> None:
    made = world(tmp_path, "claimed").context
    keys = {name: examples.signer(name) for name in ("laptop", "tower")}
    trust = examples.trust(keys={key.keyid: TrustedKey(key.public, name) for name, key in keys.items()})

    def machine(name: str) -> Context:
        mirror = Mirror(tmp_path / f"{name}.git", made.mirror.url)
        mirror.ensure()
        return replace(made, mirror=mirror, recorder=Recorder(signer=lambda _: keys[name], own=trust))

    def work(context: Context) -> None:
        for number in range(_EACH):
            key = f"restore/{context.mirror.path.name}/{number}"
            predicate = {"key": key, "stack": "production", "from_serial": 1, "serial": 2, "by": "a", "reason": "b"}
            record(context, "restore", issue=0, subjects={"state": examples.digest("state")}, predicate=predicate)

    machines = [machine(name) for name in keys]
    with ThreadPoolExecutor(len(machines)) as pool:
        for ended in [pool.submit(work, context) for context in machines]:
            ended.result()
    machines[0].fetch()
    report = verify(read_tree(machines[0]), trust=trust, merge_request=None)
    assert (list(report.findings), report.size) == ([], 2 * _EACH)
