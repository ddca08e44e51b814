"""The cache of expanded definitions: its key contains only the variables that rules use."""

import os
from pathlib import Path

from factory.local_gitlab.ci import definition
from factory.local_gitlab.serving.git import Repository
from tests.servers import expander, git

DEFINITION = """
job:
  script: [echo]
  variables: {COMMIT: $CI_COMMIT_SHA, BRANCH: $CI_COMMIT_BRANCH}
  rules: [{if: $BRANCH == "main"}]
"""


def expanded(folder: Path, kept: Path, **variables: str) -> list[str]:
    sha = git("rev-parse", "HEAD", cwd=folder).stdout.strip()
    repository = Repository(folder / ".git", dict(os.environ))
    source = definition.Source(repository, ".gitlab-ci.yml", sha, sha, sha, "http://127.0.0.1/x.git")
    jobs = definition.expand(source, variables, program=expander(), env=dict(os.environ), kept=kept)
    return [job["name"] for job in jobs]


def test_a_variable_that_no_rule_uses_does_not_invalidate_the_cache(tmp_path: Path) -> None:
    folder, kept = tmp_path / "code", tmp_path / "kept"
    folder.mkdir()
    (folder / ".gitlab-ci.yml").write_text(DEFINITION)
    git("init", "-qb", "main", cwd=folder)
    git("add", ".", cwd=folder)
    git("commit", "-qm", "a", cwd=folder)
    for commit in ("1", "2"):
        expanded(folder, kept, CI_COMMIT_SHA=commit, CI_COMMIT_BRANCH="main")
        assert len(list(kept.iterdir())) == 1
    expanded(folder, kept, CI_COMMIT_SHA="2", CI_COMMIT_BRANCH="other")
    assert len(list(kept.iterdir())) == 2, "a rule looks at the branch, through a variable of the job"
