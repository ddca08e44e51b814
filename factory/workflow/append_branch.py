"""Adds to one of the factory's own branches: the refused push is the compare-and-swap, and who lost it looks again."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from factory.errors import Conflict
from factory.workflow.context import Context

_T = TypeVar("_T")
_TRIES = 8


@dataclass(frozen=True)
class Addition(Generic[_T]):
    """What is to be added: changed files (none: nothing), the commit's message, and the answer to whoever asked."""

    answer: _T
    changes: Mapping[str, bytes | None]
    message: str = ""


def append(context: Context, branch: str, decide: Callable[[], Addition[_T]]) -> _T:
    """Commit what ``decide`` makes of the branch as of the last fetch, and return its answer.

    Where another came first, the branch is fetched and ``decide`` is asked again. Raises ``Conflict`` where the branch
    moves too fast, ``Refused`` and ``Unreachable`` as a push does.
    """
    for attempt in range(_TRIES):
        made = decide()
        if not made.changes:
            break
        commit = context.mirror.commit(
            made.changes,
            parent=context.mirror.head(branch),
            message=f"{made.message}\n",
            author=context.bot_author,
        )
        try:
            context.mirror.push(commit, branch, context.bot_token)
        except Conflict:
            if attempt == _TRIES - 1:
                raise
            context.fetch()
        else:
            break
    return made.answer
