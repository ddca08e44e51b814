"""How many requests each command sends to GitLab, counted on the wire; a growing number must be explained."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from tests.cli.gitlab.test_connect import Here
from tests.flaky_proxy import Between, between
from tests.servers import LocalGitlab

# Commands on a connected project where nothing is left to do: how many requests each may send, and none that writes.
LOOKING = {
    "issue list": 1,
    "issue show 1": 2,
    "mr list": 1,
    "deploy list": 4,
    "status": 7,  # one for the compute minutes
    "app list": 0,
    "gitlab plan": 17,
    "gitlab apply": 17,
}
CONNECT, AGAIN = 110, 40


class Wired(Here):
    """``Here`` behind a proxy that counts requests."""

    def __init__(self, folder: Any, server: LocalGitlab, proxy: Between) -> None:
        super().__init__(folder, server)
        self.proxy, self.first = proxy, 0

    def connect(self, *arguments: str, stdin: str, **more: Any) -> Any:
        return self.run("connect", self.proxy.url, "--project", self.path, *arguments, stdin=stdin, **more)

    def counted(self, *arguments: str, code: int = 0) -> tuple[int, int]:
        """Run a command; return how many requests it sent, and how many of them could change something."""
        before, writes = len(self.proxy.sent), self.proxy.writes
        self.run(*arguments, code=code)
        return len(self.proxy.sent) - before, self.proxy.writes - writes


@pytest.fixture(scope="module", params=["premium", "free"])
def wired(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Wired]:
    server = request.getfixturevalue("gitlab_server" if request.param == "premium" else "free_gitlab")
    with between(server.url) as proxy:
        made = Wired(tmp_path_factory.mktemp("wired"), server, proxy)
        made.connected()
        made.first = len(proxy.sent)
        yield made


@pytest.mark.long
@pytest.mark.matrix(1)
def test_each_command_sends_few_requests_and_writes_only_what_differs(wired: Wired) -> None:
    wired.connect("--bot", "--yes", stdin=wired.bot_token)
    before, writes = len(wired.proxy.sent), wired.proxy.writes
    wired.connect("--yes", stdin="")
    again = len(wired.proxy.sent) - before
    assert wired.proxy.writes == writes
    wired.run("issue", "new", "One", "--small", "--draft")
    used = {command: wired.counted(*command.split()) for command in LOOKING}
    assert {command: writes for command, (_, writes) in used.items()} == dict.fromkeys(LOOKING, 0)
    over = {command: count for command, (count, _) in used.items() if count > LOOKING[command]}
    assert not over, used
    assert wired.first <= CONNECT
    assert again <= AGAIN


@pytest.mark.long
@pytest.mark.matrix(1)
def test_no_command_requests_a_page_twice(wired: Wired) -> None:
    before = len(wired.proxy.sent)
    wired.run("gitlab", "plan")
    asked = Counter(path for _, path, _ in wired.proxy.sent[before:])
    assert not {path: count for path, count in asked.items() if count > 2}, asked
