"""Reads the results of the jobs that ran a change's own code, by GitLab's API.

Such a job can upload any file as its artifact. So no judging job lets the runner unpack them into its checkout. This
module reads them with bounds, and writes only files below the job's own folder of claims.
"""

import io
import lzma
import stat
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path, PurePosixPath

from factory.errors import InvalidInput, MachineError, NotFound, Refused, Unauthorized
from factory.gitlab import pipelines
from factory.gitlab.connect import connect
from factory.model.child_pipeline import ChildPipeline
from factory.operations.collect.origin import VARIABLE
from factory.system import files

# The folders below .factory/claims/ that each job may fill.
FOLDERS = {"unit": ("unit",), "contract": ("contract", "performance")}
# The job of the pipeline that starts the repository's own.
CHILD = "own-pipeline"
# Failed jobs of it that are named, and the length of a name.
_NAMED, _NAME = 10, 100
_PREFIX = PurePosixPath(".factory/claims")
# Of one job: bytes as an archive, bytes of all files, number of files.
_ARCHIVE, _UNPACKED, _FILES = 20 * 2**20, 100 * 2**20, 5_000


# What reading and unpacking a crafted archive raises, by its parts: container, compression, names.
_UNREADABLE = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, NotImplementedError, RuntimeError, EOFError),
    *(OSError, ValueError, MachineError),
)


def fetch(given: Mapping[str, str], out: Path) -> str:
    """Write the claims of the pipeline's jobs below ``out``; return why they are missing, or an empty text.

    ``given`` is the environment of the judging job. Raises ``Unreachable`` if GitLab does not answer.
    """
    files.remove_tree(out)
    token = given.get(VARIABLE, "")
    if not token:
        return f"the results of {' and '.join(FOLDERS)} cannot be read: this job has no {VARIABLE} (docs/gates.md)"
    connection = connect(given["CI_SERVER_URL"], given["CI_PROJECT_PATH"], account="judge", token=token)
    try:
        for job in pipelines.jobs(connection, int(given["CI_PIPELINE_ID"])):
            # A job without artifacts leaves no claims, and its gate says so.
            with suppress(NotFound):
                if job.name in FOLDERS:
                    unpack(pipelines.archive(connection, job.id, limit=_ARCHIVE), job.name, out)
    except (Unauthorized, Refused, NotFound, InvalidInput) as error:
        files.remove_tree(out)
        return f"the results of {' and '.join(FOLDERS)} cannot be read: {error}"
    return ""


def child_pipeline(given: Mapping[str, str]) -> ChildPipeline:
    """Return the child pipeline that the running pipeline started; arguments and errors are those of ``fetch``."""
    token = given.get(VARIABLE, "")
    if not token:
        return ChildPipeline(problem=f"the child pipeline cannot be read: this job has no {VARIABLE} (docs/gates.md)")
    connection = connect(given["CI_SERVER_URL"], given["CI_PROJECT_PATH"], account="judge", token=token)
    try:
        bridges = pipelines.bridges(connection, int(given["CI_PIPELINE_ID"]))
        found = next((item for item in bridges if item.name == CHILD), None)
        if found is None:
            return ChildPipeline(problem=f"the pipeline has no job {CHILD}")
        jobs = pipelines.jobs(connection, found.child) if found.child else []
    except (Unauthorized, Refused, NotFound) as error:
        return ChildPipeline(problem=f"the child pipeline cannot be read: {error}")
    failed = [item.name[:_NAME] for item in jobs if item.status == "failed" and not item.allow_failure]
    return ChildPipeline(found.status if found.child else "", tuple(failed[:_NAMED]), found.child_url)


def unpack(data: bytes, job: str, out: Path) -> None:
    """Write the files of one job's archive; raises ``InvalidInput`` if it is no archive, or exceeds a bound."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            left = _UNPACKED
            for name, item in _listed(archive, job):
                with archive.open(item) as file:
                    content = file.read(left + 1)
                left -= len(content)
                if left < 0:
                    raise InvalidInput(f"the artifacts of {job} have more than {_UNPACKED} bytes")
                files.write_atomic(files.contained(out, name), content)
    except _UNREADABLE as error:
        raise InvalidInput(f"the artifacts of {job} are not an archive that can be read: {error}") from error


def _listed(archive: zipfile.ZipFile, job: str) -> Iterator[tuple[str, zipfile.ZipInfo]]:
    """Yield the regular files below the job's folders by their path below the claims; raises ``InvalidInput``."""
    found = archive.infolist()
    if len(found) > _FILES:
        raise InvalidInput(f"the artifacts of {job} have more than {_FILES} files")
    for item in found:
        path = PurePosixPath(item.filename)
        regular = stat.S_IFMT(item.external_attr >> 16) in {0, stat.S_IFREG} and not item.is_dir()
        below = path.relative_to(_PREFIX) if path.is_relative_to(_PREFIX) else PurePosixPath()
        if regular and ".." not in path.parts and len(below.parts) > 1 and below.parts[0] in FOLDERS[job]:
            yield str(below), item
