"""Reads the results that a pipeline's jobs wrote to files, as dataclasses."""

from typing import TypeVar

from factory.errors import InvalidInput
from factory.gitlab import pipelines
from factory.gitlab.connect import Connection
from factory.model.deployment import ApplyResult
from factory.system import data
from factory.terraform import apply as applying

Form = TypeVar("Form")


def of(connection: Connection, job: int, path: str, missing: Form) -> Form:
    """Return what a job wrote to a file; ``missing`` if it wrote nothing, or nothing of this form."""
    written = pipelines.artifact(connection, job, path)
    try:
        return missing if written is None else data.read(type(missing), written, source=path)
    except InvalidInput:
        return missing


def apply(connection: Connection, job: int, folder: str) -> ApplyResult:
    """Return the result of an apply job that worked in ``folder``; its phase is ``unknown`` without a result."""
    return of(connection, job, f"{folder}/{applying.RESULT}", ApplyResult())
