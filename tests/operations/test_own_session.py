"""A person's own session: its issue is opened once, and its worktree is found again."""

from pathlib import Path

from factory.gitlab.connect import connect
from factory.operations import own_session
from factory.policies.folder import read_folder
from factory.worktrees.person_clone import PersonClone
from tests.servers import ROOT, TOOL_ENV, LocalGitlab, git


def test_a_start_that_is_repeated_goes_on_with_the_same_issue(tmp_path: Path, gitlab_server: LocalGitlab) -> None:
    project = gitlab_server.project({"a.txt": "a\n"})
    person = connect(gitlab_server.url, project.path_with_namespace, account="root", token=gitlab_server.root_token)
    first = own_session.opened(person, "Reject expired coupons")
    assert own_session.opened(person, "Reject expired coupons") == first
    assert own_session.opened(person, f"#{first.iid}") == first
    assert own_session.opened(person, "Reject others").iid != first.iid
    git(
        "clone",
        "-q",
        project.http_url_to_repo.replace("://", f"://root:{gitlab_server.root_token}@"),
        "shop",
        cwd=tmp_path,
    )
    clone = PersonClone(tmp_path / "shop", TOOL_ENV)
    assert list(own_session.every(clone)) == []
    made = own_session.start(clone, first, read_folder(ROOT), remote="origin", agent="claude")
    [(found, session)] = own_session.every(clone)
    assert (found.path, session.issue, session.agent) == (made.path, first.iid, "claude")
