"""A server without a runner, and clients that record all answers for the contract test."""

from dataclasses import dataclass, field
from typing import Any

import gitlab
import requests

from factory.local_gitlab.serving.call import DEVELOPER, GUEST, MAINTAINER
from tests.local_gitlab.contract.document import PREFIX, Exchange
from tests.servers import LocalGitlab, wait_for


@dataclass
class World:
    """Users with tokens, and the recorded answers of the server."""

    server: LocalGitlab
    exchanges: list[Exchange] = field(default_factory=list)
    tokens: dict[str, str] = field(default_factory=dict)
    users: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.session = requests.Session()
        self.session.hooks["response"].append(self._keep)
        self.tokens["root"] = self.server.root_token
        self.root = self.client("root")
        for name in ("guest", "developer", "maintainer", "stranger"):
            self.users[name], self.tokens[name] = self.server.user(name)

    def _keep(self, response: requests.Response, *_: Any, **__: Any) -> None:
        self.exchanges.append(Exchange.of(response))

    def client(self, who: str) -> gitlab.Gitlab:
        """Return a user's python-gitlab client."""
        return gitlab.Gitlab(self.server.url, private_token=self.tokens[who], session=self.session)

    def call(self, method: str, path: str, expected: int, *, who: str | None = "root", **options: Any) -> Any:
        """Send a plain request; fail if the status is not ``expected``."""
        headers = {**({"PRIVATE-TOKEN": self.tokens[who]} if who else {}), **options.pop("headers", {})}
        url = self.server.url + options.pop("prefix", PREFIX) + path
        answer = self.session.request(method, url, headers=headers, timeout=30, **options)
        assert answer.status_code == expected, f"{method} {path}: {answer.status_code} {answer.text[:300]}"
        return answer

    def project(self, files: dict[str, str] | None = None, **settings: Any) -> Any:
        """Create a project with one member of each role."""
        made = self.root.projects.create({"name": f"p{len(self.exchanges)}", **settings})
        actions = [{"action": "create", "file_path": path, "content": text} for path, text in (files or {}).items()]
        if actions:
            made.commits.create({"branch": "main", "commit_message": "Start", "actions": actions})
        for name, level in (("guest", GUEST), ("developer", DEVELOPER), ("maintainer", MAINTAINER)):
            made.members.create({"user_id": self.users[name].id, "access_level": level})
        return self.root.projects.get(made.id)

    def change(self, project: Any, branch: str, path: str, **more: Any) -> str:
        """Commit a new file to a branch; return the commit."""
        action = {"action": "create", "file_path": path, "content": f"{path}\n"}
        made = project.commits.create(
            {"branch": branch, "commit_message": f"Add {path}", "actions": [action], "start_branch": "main", **more}
        )
        return str(made.id)

    def jobs(self, project: Any) -> dict[str, Any]:
        """Wait for a project's jobs; return them by name, newest first."""
        found = wait_for(lambda: project.jobs.list(get_all=True))
        return {job.name: job for job in reversed(found)}
