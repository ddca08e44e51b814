"""Proposes that the agents' rules bind accounts: the list `agents` in policies/scope.yml."""

import re
from collections.abc import Sequence

from factory.errors import Refused
from factory.gitlab import merge_requests
from factory.gitlab.connect import Connection
from factory.model.gitlab import MAIN, MergeRequest
from factory.system import defaults
from factory.worktrees.repository import Author, Mirror

PATH = "policies/scope.yml"
BRANCH = "bind-factory-accounts"
TITLE = "Bind the factory's accounts by the agents' rules"
_AGENTS = re.compile(r"^agents: *\[(?P<names>[^\]\n]*)\]", re.MULTILINE)


def missing(bound: Sequence[str], wanted: Sequence[str]) -> list[str]:
    """Return the accounts that ``agents`` does not list; case does not matter, as on GitLab."""
    known = {name.casefold() for name in bound}
    return [name for name in wanted if name.casefold() not in known]


def longer(text: str, accounts: Sequence[str]) -> str:
    """Return the text of scope.yml with more ``agents``; raises ``Refused`` if the list is not written on one line."""
    found = _AGENTS.search(text)
    if found is None:
        raise Refused(
            f"main's {PATH} does not list {', '.join(accounts)} in `agents`",
            hint="Add them there, merge that into main, and run it again.",
        )
    names = [name for part in found["names"].split(",") if (name := part.strip())]
    return f"{text[: found.start()]}agents: [{', '.join([*names, *accounts])}]{text[found.end() :]}"


def propose(mirror: Mirror, person: Connection, token: str, *, accounts: Sequence[str], author: Author) -> MergeRequest:
    """Push the longer list and open its merge request as the person; raises ``Refused`` as ``longer`` does."""
    main = mirror.head(MAIN) or ""
    text = (mirror.tree(main, "policies/").get(PATH) or defaults.read(PATH)).decode()
    changed = longer(text, accounts).encode()
    commit = mirror.commit({PATH: changed}, parent=main, message=f"{TITLE}\n", author=author)
    mirror.push_content(commit, BRANCH, token)
    description = f"The factory works as {' and '.join(f'`{name}`' for name in accounts)}. Unlisted, they are people."
    return merge_requests.open_once(person, source=BRANCH, target=MAIN, title=TITLE, description=description, labels=[])
