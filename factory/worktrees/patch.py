"""The difference between two commits as a patch that ``git apply`` reproduces byte for byte."""

from pathlib import Path

from factory.errors import Refused
from factory.worktrees.repository import run

_FORM = (
    "--binary",
    "--full-index",
    "--no-color",
    "--no-ext-diff",
    "--no-textconv",
    "--no-renames",
    "--src-prefix=a/",
    "--dst-prefix=b/",
)


def between(folder: Path, base: str, head: str) -> str:
    """Return the patch from ``base`` to ``head``, including binary files; empty if the commits are equal.

    Raises ``Refused`` for a text file or a file name that is not UTF-8.
    """
    text = run(folder, "-c", "core.quotePath=false", "diff", *_FORM, "--end-of-options", base, head)
    try:
        text.encode()
    except UnicodeEncodeError as error:
        line = text.count("\n", 0, error.start)
        name = text[: error.start].rpartition("diff --git a/")[2].partition(" b/")[0]
        raise Refused(
            f"{name!a}: line {line} of the patch is not UTF-8",
            hint="Only UTF-8 text and binary files are recorded.",
        ) from error
    return f"{text}\n" if text else ""
