"""Proposes that the gates block: the mode `enforce` in policies/gates.yml, with what the mode `observe` has shown."""

import re
from collections import Counter
from collections.abc import Sequence

from factory.errors import Refused
from factory.evidence.transparency_log import Entry
from factory.gitlab import merge_requests
from factory.gitlab.connect import Connection
from factory.model.gitlab import MAIN, MergeRequest
from factory.reports.markdown import count
from factory.worktrees.repository import Author, Mirror

PATH = "policies/gates.yml"
BRANCH = "enforce-gates"
TITLE = "Let the gates block"
_MODE = re.compile(r"^mode: *observe *$", re.MULTILINE)


def figures(entries: Sequence[Entry]) -> list[str]:
    """Return what the mode `observe` has shown, as lines: how many verdicts the gates would have changed, and which."""
    seen = [item.predicate["observed"] for item in entries if item.kind == "verdict" and "observed" in item.predicate]
    blocked = [gates for gates in seen if gates]
    counts = Counter(gate for gates in blocked for gate in gates)
    lines = [f"Of {count(len(seen), 'observed verdict')}, the gates would have blocked {len(blocked)}."]
    return lines + [f"- `{gate}`: {number}" for gate, number in sorted(counts.items())]


def propose(mirror: Mirror, person: Connection, token: str, *, shown: Sequence[str], author: Author) -> MergeRequest:
    """Push the change of the mode and open its merge request as the person; raises ``Refused`` in mode `enforce`."""
    main = mirror.head(MAIN) or ""
    text = mirror.read(main, PATH).decode() if PATH in mirror.paths(main) else ""
    changed = _MODE.sub("mode: enforce", text, count=1)
    if changed == text:
        raise Refused("the gates block already", hint="See `factory policy show gates`.")
    message = f"{TITLE}\n\n{chr(10).join(shown)}\n"
    commit = mirror.commit({PATH: changed.encode()}, parent=main, message=message, author=author)
    mirror.push_content(commit, BRANCH, token)
    return merge_requests.open_once(
        person, source=BRANCH, target=MAIN, title=TITLE, description="\n".join(shown), labels=[]
    )
