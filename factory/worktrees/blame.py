"""Finds the commit that a line comes from, and the commits that contain it since."""

from dataclasses import dataclass
from pathlib import Path

from factory.errors import NotFound
from factory.worktrees.repository import run

_UNCOMMITTED = "0" * 40
_SESSION = "Factory-Session"
_HINT = "Name a file and a line as they are checked out here; `git fetch` and `git switch` bring a later version."


@dataclass(frozen=True)
class BlamedLine:
    """A line as git-blame(1) sees it: its text and commit (``None``: not committed), and who wrote that when.

    ``session`` is the session that the commit's message names, which proves nothing. ``containing`` are the commits of
    all branches that contain the commit, itself included.
    """

    text: str
    commit: str | None
    author: str = ""
    title: str = ""
    session: str = ""
    containing: frozenset[str] = frozenset()


def clone_of(file: Path) -> Path:
    """Return the clone that a file is in; raises ``NotFound`` if there is no such file, or it is in no clone."""
    if not file.is_file():
        raise NotFound(f"there is no file {file}", hint=_HINT)
    return Path(run(file.parent, "rev-parse", "--show-toplevel", failure=NotFound))


def blame(clone: Path, file: Path, line: int) -> BlamedLine:
    """Return where a line of a file in a clone comes from; raises ``NotFound`` if there is no such line in git."""
    folder, name = clone, str(file.relative_to(clone))
    try:
        said = run(folder, "blame", "--porcelain", f"-L{line},{line}", "--", name, failure=NotFound)
    except NotFound as error:
        raise NotFound(str(error), hint=_HINT) from error
    header, *_, text = said.split("\n")
    commit = header.split(" ", 1)[0]
    if commit == _UNCOMMITTED:
        return BlamedLine(text[1:], None)
    form = f"--format=%an%x00%s%x00%(trailers:key={_SESSION},valueonly,separator=%x2C)"
    author, title, session = run(folder, "log", "-1", form, commit).split("\0")
    later = run(folder, "rev-list", "--ancestry-path", "--all", f"^{commit}").split()
    return BlamedLine(text[1:], commit, author, title, session.strip(), frozenset({commit, *later}))
