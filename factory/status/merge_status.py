"""Says why a merge request is not merged yet: GitLab's reason, or that its pipeline waits for a person."""

from factory.gitlab import pipelines
from factory.gitlab.connect import Connection
from factory.model.gitlab import MergeRequest

WAITS_FOR_APPROVAL = "waits_for_approval"
_UNFINISHED = frozenset({"created", "pending", "preparing", "running", "waiting_for_resource", "scheduled"})


def merge_status(connection: Connection, request: MergeRequest) -> str:
    """Return GitLab's merge status, or ``waits_for_approval`` if no job of the running pipeline is left to finish.

    A pipeline whose jobs are done runs on for as long as the commit status ``factory/approval`` is pending.
    """
    if request.detailed_merge_status != "ci_still_running":
        return request.detailed_merge_status
    runs = pipelines.of_merge_request(connection, request.iid)
    jobs = [job for run in runs[:1] for job in pipelines.jobs(connection, run.id)]
    # A new pipeline has no jobs yet.
    done = bool(jobs) and not any(job.status in _UNFINISHED for job in jobs)
    return WAITS_FOR_APPROVAL if done else request.detailed_merge_status
