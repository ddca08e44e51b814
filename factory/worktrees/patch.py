"""What changed between two commits, as a patch that git applies again to the byte."""

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
    """Return the patch from ``base`` to ``head``, empty where they are equal; binary files are in it.

    Raises ``Refused`` for what a text cannot carry: a file that git takes for text and is not UTF-8, or such a name.
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
