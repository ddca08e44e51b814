"""Pushes a person's branch, and opens its merge request as that person."""

from factory.errors import Conflict, Refused
from factory.gitlab import merge_requests
from factory.gitlab.connect import Connection
from factory.model.gitlab import MAIN, MergeRequest
from factory.reports.markdown import count
from factory.worktrees.person_clone import Ahead, PersonClone

_DRAFT = "Draft: "


def open_own(
    clone: PersonClone, person: Connection, *, remote: str, branch: str, ahead: Ahead, title: str, draft: bool
) -> MergeRequest:
    """Push the checked-out commit, and return the branch's open merge request, which is opened if there is none.

    ``title`` is by default the subject of the branch's first commit; with one commit, its text is the description.
    Raises ``Refused`` if main has everything, ``Conflict`` if the branch's merge request was merged.
    """
    if not ahead.commits:
        raise Refused(f"{branch} has no commit that {MAIN} lacks", hint="Commit your change, then run this again.")
    subject, body = ahead.commits[0]
    clone.push(remote, branch)
    found = merge_requests.open_once(
        person,
        source=branch,
        target=MAIN,
        title=(_DRAFT if draft else "") + (title or subject),
        description=body if len(ahead.commits) == 1 else "\n".join(f"- {line}" for line, _ in ahead.commits),
        labels=[],
    )
    if found.state != "opened":
        raise Conflict(
            f"the branch {branch} was {found.state} as !{found.iid}",
            hint="Choose another name: `git switch -c NAME`, then run this again.",
        )
    return found


def size(ahead: Ahead) -> str:
    """Return the size of a change in words."""
    files = f"{count(ahead.files, 'file')} +{ahead.added} -{ahead.removed}"
    late = f", {MAIN} has {count(ahead.behind, 'newer commit')}: rebase your branch" if ahead.behind else ""
    return files + late
