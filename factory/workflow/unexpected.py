"""Turns an exception that nobody expected into an error of the factory, and keeps its traceback in a file."""

import re
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from factory.errors import FactoryError, Unexpected
from factory.system import files

FOLDER = "failures"
_MESSAGE = 200


@contextmanager
def kept(state: Path, subject: str) -> Iterator[None]:
    """Raise ``Unexpected`` in place of an exception that is none of the factory's errors and ends no process.

    The file of the subject, below the instance's folder ``state``, has the traceback of its last such exception.
    """
    try:
        yield
    # BaseException: DBOS and asyncio have exceptions that are no Exception.
    except BaseException as error:
        if isinstance(error, FactoryError | KeyboardInterrupt | SystemExit | GeneratorExit):
            raise
        name = re.sub(r"[^a-z0-9]+", "-", subject)
        path = files.private_folder(state / FOLDER) / f"{name}.log"
        text = "".join(traceback.format_exception(error))
        files.write_atomic(path, text.encode(errors="backslashreplace"), mode=0o600)
        said = " ".join(str(error).split())[:_MESSAGE]
        message = f"{subject} failed with an unexpected {type(error).__name__}: {said}; the traceback is in {path}"
        raise Unexpected(message) from error
