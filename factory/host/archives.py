"""Gets a release's archive from GitLab: what the job `build` of the plan's pipeline left, by the plan's digest."""

from factory.apps import archive
from factory.errors import EvidenceInvalid, NotFound
from factory.gitlab import pipelines
from factory.gitlab.connect import Connection
from factory.host.runnable import Release
from factory.system import canonical

_JOB, _FOLDER = "build", "dist"


def fetch(connection: Connection, release: Release) -> bytes:
    """Return the archive of a release.

    Raises ``NotFound`` if the pipeline has no such file, ``EvidenceInvalid`` if it is not what the plan names,
    ``InvalidInput`` if it is larger than any archive that the factory packs, and the errors of GitLab's answers.
    """
    path = f"{_FOLDER}/{archive.file_name(release.app)}"
    jobs = [job for job in pipelines.jobs(connection, release.pipeline) if job.name == _JOB]
    found = pipelines.artifact(connection, jobs[0].id, path, limit=archive.LARGEST) if jobs else None
    if found is None:
        raise NotFound(
            f"pipeline {release.pipeline} has no {path}", hint="GitLab deletes artifacts after their time: build again."
        )
    if canonical.digest(found) != release.archive:
        raise EvidenceInvalid(f"{path} of pipeline {release.pipeline} is not the archive that the plan names")
    return found
