"""The difference between two commits as a patch that ``git apply`` reproduces byte for byte."""

from pathlib import Path

from factory.errors import Refused
from factory.worktrees import output

_MOST = 64 * 2**20
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

    Raises ``Refused`` for a text file or a file name that is not UTF-8, and for a patch of more than 64 MiB.
    """
    arguments = ("-c", "core.quotePath=false", "diff", *_FORM, "--end-of-options", base, head)
    patch, longer = output.beginning(folder, *arguments, most=_MOST)
    if longer:
        raise Refused(
            f"the patch from {base[:12]} to {head[:12]} has more than {_MOST >> 20} MiB",
            hint="Only smaller changes are recorded.",
        )
    try:
        return patch.decode()
    except UnicodeDecodeError as error:
        line = patch.count(b"\n", 0, error.start)
        name = patch[: error.start].decode().rpartition("diff --git a/")[2].partition(" b/")[0]
        raise Refused(
            f"{name!a}: line {line} of the patch is not UTF-8",
            hint="Only UTF-8 text and binary files are recorded.",
        ) from error
