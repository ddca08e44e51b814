"""Commits to the factory's own branches; if another process pushed first, fetches and decides again."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from factory.errors import Conflict
from factory.workflow.context import Context

_T = TypeVar("_T")
_TRIES = 8


@dataclass(frozen=True)
class Addition(Generic[_T]):
    """A commit to push: changed files (none: no commit), message, and the result to return to the caller."""

    answer: _T
    changes: Mapping[str, bytes | None]
    message: str = ""


def append(context: Context, branch: str, decide: Callable[[], Addition[_T]]) -> _T:
    """Call ``decide`` on the branch as of the last fetch, push the commit that it returns, and return its answer.

    If another process pushed first, fetches the branch and calls ``decide`` again. Raises ``Conflict`` if that fails
    eight times, ``Refused`` and ``Unreachable`` as a push does.
    """
    for attempt in range(_TRIES):
        addition = decide()
        if not addition.changes:
            break
        commit = context.mirror.commit(
            addition.changes,
            parent=context.mirror.head(branch),
            message=f"{addition.message}\n",
            author=context.bot_author,
        )
        try:
            context.mirror.push(commit, branch, context.accounts.bot_token)
        except Conflict:
            if attempt == _TRIES - 1:
                raise
            context.fetch()
        else:
            break
    return addition.answer
