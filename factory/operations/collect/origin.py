"""Finds whose a merge request is: who opened it and who pushed its commits, as GitLab recorded it.

Who started a pipeline says nothing, because anyone may start it again; a commit's addresses say nothing, because its
author writes them.
"""

from collections.abc import Collection, Iterable, Mapping
from datetime import timedelta
from itertools import islice

from factory.errors import NotFound, Refused, Unauthorized
from factory.gitlab import branches, merge_requests
from factory.gitlab.branches import Push
from factory.gitlab.connect import Connection, connect
from factory.model.facts import Origin
from factory.model.gitlab import MAIN
from factory.system import clock

VARIABLE = "FACTORY_TOKEN_JUDGE"
# How far back pushes are read: days before the merge request was opened, and at most so many pushes.
_DAYS, _MOST = 90, 2000
# Branches that only the factory's account may push to.
_OWN = ("factory/evidence", "factory/leases/", "factory/ledger")


def in_job(given: Mapping[str, str]) -> Origin:
    """Return the origin of the merge request that a CI job judges; ``given`` is the job's environment.

    Without a token that GitLab accepts, the accounts are unknown. Raises ``Unreachable`` if GitLab does not answer.
    """
    branch = given.get("CI_MERGE_REQUEST_SOURCE_BRANCH_NAME", "")
    iid, token = given.get("CI_MERGE_REQUEST_IID", ""), given.get(VARIABLE, "")
    if not iid or not token:
        reason = f"this job has no {VARIABLE}" if iid else "this is no merge request's job"
        return Origin(branch=branch, problem=f"who opened it is unknown: {reason}")
    server, project = given["CI_SERVER_URL"], given["CI_PROJECT_PATH"]
    try:
        return of_merge_request(connect(server, project, account="judge", token=token), int(iid))
    except (Unauthorized, Refused, NotFound) as error:
        return Origin(branch=branch, problem=f"who opened it is unknown: the token in {VARIABLE}: {error}")


def of_merge_request(connection: Connection, iid: int) -> Origin:
    """Return the origin of a merge request; raises ``NotFound`` and the errors of the connection."""
    request = merge_requests.get(connection, iid)
    first = clock.parse(request.created_at) - timedelta(days=_DAYS)
    found = list(islice(filter(_of_people, branches.pushes_since(connection, first.date().isoformat())), _MOST + 1))
    commits = {request.sha, *merge_requests.commits(connection, iid)}
    if len(found) > _MOST:
        problem = f"who pushed it is unknown: there are more than {_MOST} pushes to read"
        return Origin(branch=request.source_branch, problem=problem)
    return decide(request.author, request.source_branch, request.sha, commits, found)


def _of_people(push: Push) -> bool:
    """Return whether a push can be part of a change: the factory writes its own branches all the time."""
    return not push.ref.startswith(_OWN)


def decide(author: str, branch: str, head: str, commits: Collection[str], found: Iterable[Push]) -> Origin:
    """Return a merge request's origin; ``commits`` are its own, ``found`` are the pushes to its project.

    A push counts if it was to the source branch, if it ended in one of the commits, or if GitLab names no ref of it. A
    push to main is a merge, which says nothing about who worked on the commits.
    Without a push that ended in ``head``, the accounts are unknown.
    """
    pushes = [push for push in found if push.ref != MAIN]
    counted = [push for push in pushes if push.ref in {branch, ""} or push.sha in commits]
    if not any(push.sha == head for push in counted):
        return Origin(branch=branch, problem=f"who pushed {head[:12]} is unknown: GitLab names no push of it")
    return Origin(author, tuple(sorted({push.account for push in counted})), branch)
