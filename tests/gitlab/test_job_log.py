"""Job logs through the product's door, against the real server."""

from factory.gitlab import pipelines
from factory.gitlab.connect import connect
from tests.servers import LocalGitlab, wait_for

CI = "job:\n  script: ['true']\n  tags: [no-runner-has-this]\n"
LONGEST = 16 * 2**20


def test_of_a_long_log_the_end_is_kept_and_the_cut_is_named(gitlab_server: LocalGitlab) -> None:
    project = gitlab_server.project({".gitlab-ci.yml": CI})
    (job,) = wait_for(lambda: project.jobs.list(get_all=True))
    path = project.path_with_namespace
    connection = connect(gitlab_server.url, path, account="root", token=gitlab_server.root_token)
    log = gitlab_server.state / "traces" / f"{job.id}.log"
    log.parent.mkdir(exist_ok=True)
    for left in (0, 1, 2 * LONGEST + 7):
        log.write_bytes(b"a" * left + b"b" * (LONGEST - 3) + b"end")
        told, cut = pipelines.trace(connection, job.id), f"[the first {left} bytes of this log are left out]\n"
        assert told.startswith(cut) == bool(left)
        assert told.endswith("bend")
        assert len(told) == LONGEST + (len(cut) if left else 0)
        assert "a" not in told.removeprefix(cut)
