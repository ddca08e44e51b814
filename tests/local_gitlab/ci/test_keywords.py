"""Keywords of a pipeline's definition do what GitLab's documentation says."""

import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import gitlab
import pytest

from factory.local_gitlab.ci import environments
from factory.local_gitlab.runner import script
from tests.servers import LocalGitlab, wait_for

END = {"success", "failed", "canceled", "skipped", "manual"}

INHERIT = """
default:
  artifacts: {paths: [zzz.txt]}
variables: {A: a, B: b}
all: {script: ['echo "A=$A B=$B"']}
one: {inherit: {default: false, variables: [A]}, script: ['echo "A=$A B=$B"']}
two: {inherit: {default: [retry], variables: false}, script: ['echo "A=$A B=$B"']}
"""
EXIT_CODES = """
allowed: {script: [exit 3], allow_failure: {exit_codes: 3}}
listed: {script: [exit 137], allow_failure: {exit_codes: [1, 137]}}
said:
  script: [exit 4]
  allow_failure: {exit_codes: [4]}
  after_script: ['echo "status=$CI_JOB_STATUS"']
passed: {script: [exit 0], after_script: ['echo "status=$CI_JOB_STATUS"']}
"""
EXCLUDE = """
job:
  script:
    - mkdir -p foo/bar foo/qux && touch foo/a.txt foo/b.log foo/bar/c.txt foo/qux/d.o
  artifacts:
    paths: [foo/]
    exclude: [foo/*.log, foo/bar/**/*, "**/*.o"]
"""
UNTRACKED = """
first: {stage: build, script: [touch passed.txt], artifacts: {paths: [passed.txt]}}
job:
  script:
    - mkdir -p new .hidden && touch new/a.txt .hidden/b.txt new/c.o
    - git add new/a.txt
  artifacts: {untracked: true, exclude: ["**/*.o"]}
"""


def trace_of(project: Any, job: Any) -> str:
    text: str = project.jobs.get(job.id).trace().decode()
    return text


def ran(server: LocalGitlab, definition: str) -> tuple[Any, str, dict[str, Any]]:
    """Return the project, the status of its pipeline, and its jobs by name."""
    project = server.project({".gitlab-ci.yml": definition})
    pipeline = wait_for(lambda: [p for p in project.pipelines.list(get_all=True) if p.status in END])[0]
    return project, pipeline.status, {job.name: job for job in pipeline.jobs.list(get_all=True)}


@pytest.mark.long
def test_untracked_files_are_those_that_the_commit_does_not_have(gitlab_server: LocalGitlab, tmp_path: Path) -> None:
    project, status, jobs = ran(gitlab_server, UNTRACKED)
    assert status == "success"
    archive = tmp_path / "artifacts.zip"
    archive.write_bytes(project.jobs.get(jobs["job"].id).artifacts())
    with zipfile.ZipFile(archive) as packed:
        names = set(packed.namelist())
    assert names == {".hidden/b.txt", "new/a.txt", "passed.txt"}


GIT = """
variables: {SHOW: 'ls -A | tr "\\n" " "; git rev-list --count HEAD 2>/dev/null || true'}
usual: {script: ['eval "$SHOW"']}
fetch: {variables: {GIT_STRATEGY: fetch, GIT_DEPTH: "1"}, script: ['eval "$SHOW"']}
none: {variables: {GIT_STRATEGY: none}, script: ['eval "$SHOW"; echo "left=$(ls -A)"']}
empty: {variables: {HOW: empty, GIT_STRATEGY: $HOW}, script: ['echo "left=$(ls -A)"']}
bare: {variables: {GIT_CHECKOUT: "false"}, script: ['echo "left=$(ls -A)"']}
raw: {variables: {GIT_DEPTH: {value: $X, expand: false}}, script: ['true'], allow_failure: true}
wrong: {variables: {HOW: recursive, GIT_SUBMODULE_STRATEGY: $HOW}, script: ['true'], allow_failure: true}
"""


def test_a_job_checks_out_as_its_variables_say(gitlab_server: LocalGitlab) -> None:
    project = gitlab_server.project({"a": "1"})
    project.files.create({"file_path": ".gitlab-ci.yml", "branch": "main", "content": GIT, "commit_message": "second"})
    pipeline = wait_for(lambda: [p for p in project.pipelines.list(get_all=True) if p.status in END])[0]
    assert pipeline.status == "success"
    traces = {job.name: trace_of(project, job) for job in pipeline.jobs.list(get_all=True)}
    assert ".git .gitlab-ci.yml a 2\n" in traces["usual"]
    assert ".git .gitlab-ci.yml a 1\n" in traces["fetch"]
    for name in ("none", "empty"):
        assert "left=\n" in traces[name]
        assert "Checked out" not in traces[name]
    assert "left=.git\n" in traces["bare"]
    assert "GIT_DEPTH has the value '$X', which is no number of commits" in traces["raw"]
    with pytest.raises(gitlab.GitlabCreateError, match="GIT_STRATEGY has the value 'pull'"):
        project.pipelines.create({"ref": "main", "variables": [{"key": "GIT_STRATEGY", "value": "pull"}]})
    assert "GIT_SUBMODULE_STRATEGY has the value 'recursive', which is not supported: none" in traces["wrong"]


def test_a_job_takes_what_it_inherits(gitlab_server: LocalGitlab) -> None:
    project, _, jobs = ran(gitlab_server, INHERIT)
    traces = {name: trace_of(project, job) for name, job in jobs.items()}
    assert "A=a B=b\n" in traces["all"]
    assert "zzz.txt: no matching files" in traces["all"]
    assert "A=a B=\n" in traces["one"]
    assert "A= B=\n" in traces["two"]
    assert "zzz.txt" not in traces["one"] + traces["two"]


@pytest.mark.long
def test_a_job_may_fail_with_the_exit_codes_that_it_names(gitlab_server: LocalGitlab) -> None:
    project, status, jobs = ran(gitlab_server, EXIT_CODES)
    assert status == "success"
    assert {name: (job.status, job.allow_failure) for name, job in jobs.items()} == {
        "allowed": ("failed", True),
        "listed": ("failed", True),
        "said": ("failed", True),
        "passed": ("success", False),
    }
    assert "status=failed" in trace_of(project, jobs["said"])
    assert "status=success" in trace_of(project, jobs["passed"])


@pytest.mark.parametrize("script", ["kill -9 $$", "bash -c 'kill -9 $$'"])
def test_a_job_whose_program_was_killed_runs_again(gitlab_server: LocalGitlab, script: str) -> None:
    text = f'job:\n  script: ["{script}"]\n  retry: {{max: 1, when: [api_failure], exit_codes: [137]}}\n'
    project, status, _ = ran(gitlab_server, text)
    runs = project.pipelines.list(get_all=True)[0].jobs.list(include_retried=True, get_all=True)
    assert (status, [run.status for run in runs]) == ("failed", ["failed", "failed"])


def test_any_other_exit_code_fails_the_pipeline(gitlab_server: LocalGitlab) -> None:
    _, status, jobs = ran(gitlab_server, "job: {script: [exit 3], allow_failure: {exit_codes: [137]}}\n")
    assert (status, jobs["job"].allow_failure) == ("failed", False)


def test_artifacts_leave_out_what_they_exclude(gitlab_server: LocalGitlab, tmp_path: Any) -> None:
    project, _, jobs = ran(gitlab_server, EXCLUDE)
    archive = tmp_path / "a.zip"
    archive.write_bytes(project.jobs.get(jobs["job"].id).artifacts())
    assert zipfile.ZipFile(archive).namelist() == ["foo/a.txt"]


def test_changes_compare_names_that_are_not_ascii(gitlab_server: LocalGitlab) -> None:
    definition = "u: {script: [echo yes], rules: [{changes: ['döcs/**']}]}\nz: {script: [echo yes]}\n"
    project = gitlab_server.project({".gitlab-ci.yml": definition})
    action = {"action": "create", "file_path": "döcs/ö.md", "content": "x"}
    made = project.commits.create({"branch": "main", "commit_message": "add", "actions": [action]})
    pipeline = wait_for(lambda: [p for p in project.pipelines.list(sha=made.id, get_all=True) if p.status in END])[0]
    assert {job.name for job in pipeline.jobs.list(get_all=True)} == {"u", "z"}


LARGE_ARTIFACTS = """
sparse: {script: [truncate -s 4G big], artifacts: {paths: [big]}}
report: {script: [truncate -s 4G big], artifacts: {reports: {junit: big}}}
nested:
  script: [mkdir deep, cd deep, 'for i in $(seq 250); do mkdir a && cd a; done']
  artifacts: {paths: [deep]}
dotenv: {script: ['seq -f A%g=x 5000 > d'], artifacts: {reports: {dotenv: d}}}
"""


@pytest.mark.long
def test_artifacts_that_cannot_be_kept_fail_their_job_and_say_why(gitlab_server: LocalGitlab) -> None:
    project, status, jobs = ran(gitlab_server, LARGE_ARTIFACTS)
    assert status == "failed"
    assert {(job.status, job.failure_reason) for job in jobs.values()} == {("failed", "script_failure")}
    said = {name: trace_of(project, job) for name, job in jobs.items()}
    assert "ERROR: artifact archive: the files have 4294967296 bytes" in said["sparse"]
    assert "ERROR: artifact junit: the files have" in said["report"]
    assert "nested folders" in said["nested"]
    assert "Dotenv Artifact Too Big" in said["dotenv"]


def test_artifacts_are_read_by_those_to_whom_they_are_given(gitlab_server: LocalGitlab) -> None:
    project, _, jobs = ran(
        gitlab_server,
        """
all: {script: [echo x > f], artifacts: {paths: [f]}}
developer: {script: [echo x > f], artifacts: {paths: [f], access: developer}}
none: {script: [echo x > f], artifacts: {paths: [f], access: none}}
""",
    )
    allowed: dict[int, set[str]] = {}
    for role in (20, 30, 40):
        user, token = gitlab_server.user("reader")
        project.members.create({"user_id": user.id, "access_level": role})
        theirs = gitlab_server.client(token).projects.get(project.id)
        allowed[role] = set()
        for name, job in jobs.items():
            with suppress(gitlab.GitlabGetError):
                theirs.jobs.get(job.id).artifacts()
                allowed[role].add(name)
    assert allowed == {20: {"all"}, 30: {"all", "developer"}, 40: {"all", "developer"}}


def test_comments_that_look_like_directives_are_comments(gitlab_server: LocalGitlab) -> None:
    project = gitlab_server.project()
    text = (
        "# @Description Runs it: all\none:\n  script:\n    # @Interactive\n    - |\n      # kept: yes\n      echo 1\n"
    )
    answer = project.ci_lint.create({"content": text})
    assert (answer.valid, answer.errors) == (True, [])
    _, status, jobs = ran(gitlab_server, text)
    assert (status, set(jobs)) == ("success", {"one"})


def test_lint_names_every_line_that_is_not_honoured(gitlab_server: LocalGitlab) -> None:
    text = "a:\n  script: [x]\n  only: [main]\n  parallel: 2\n"
    answer = gitlab_server.project().ci_lint.create({"content": text})
    assert not answer.valid
    assert [line.split(" ")[0] for line in answer.errors] == [".gitlab-ci.yml:3:", ".gitlab-ci.yml:4:"]


def test_a_definition_whose_jobs_are_for_merge_requests_alone_is_valid(gitlab_server: LocalGitlab) -> None:
    text = "a: {script: [x], rules: [{if: $CI_MERGE_REQUEST_IID}]}\n"
    project = gitlab_server.project({".gitlab-ci.yml": text})
    assert project.ci_lint.create({"content": text}).valid
    wait_for(lambda: not project.pipelines.list(get_all=True))
    with pytest.raises(gitlab.GitlabCreateError, match="not run for the selected trigger"):
        project.pipelines.create({"ref": "main"})


@pytest.mark.parametrize(
    ("name", "tier"),
    [
        ("production", "production"),
        ("live", "production"),
        ("staging", "staging"),
        ("review/a", "development"),
        ("qa", "testing"),
        ("elsewhere", "other"),
    ],
)
def test_the_usual_tier_of_an_environment(name: str, tier: str) -> None:
    assert environments.usual_tier(name) == tier


def test_keys_that_ruby_reads_as_symbols_are_keys(gitlab_server: LocalGitlab) -> None:
    text = ":look:\n  :script:\n    - echo :here\n  :rules:\n    - :if: $CI_COMMIT_BRANCH\n      :when: manual\n"
    project = gitlab_server.project({"a": "1"})
    answer = project.ci_lint.create({"content": text, "include_jobs": True, "dry_run": True})
    assert answer.errors == []
    (job,) = answer.jobs
    assert (job["name"], job["script"], job["when"]) == ("look", ["echo :here"], "manual")


SCOPED = """
rules: {script: [echo], rules: [{if: '$HIDDEN == "secretvalue"'}]}
scoped: {script: [echo], rules: [{if: $ONE}]}
exact: {script: ['echo "K=$K"'], environment: {name: "prod/$LETTER"}}
"""


def test_rules_see_masked_variables_and_none_of_one_environment(gitlab_server: LocalGitlab) -> None:
    project = gitlab_server.project()
    # The most exact scope has precedence, also over a variable that was made later.
    for key, value, scope in (
        ("K", "exact", "prod/a"),
        ("K", "wild", "prod/*"),
        ("K", "all", "*"),
        ("ONE", "1", "prod/*"),
        ("LETTER", "a", "*"),
    ):
        project.variables.create({"key": key, "value": value, "environment_scope": scope})
    project.variables.create({"key": "HIDDEN", "value": "secretvalue", "masked": True})
    action = {"action": "create", "file_path": ".gitlab-ci.yml", "content": SCOPED}
    made = project.commits.create({"branch": "main", "commit_message": "add", "actions": [action]})
    pipeline = wait_for(lambda: [p for p in project.pipelines.list(sha=made.id, get_all=True) if p.status in END])[0]
    jobs = {job.name: job for job in pipeline.jobs.list(get_all=True)}
    assert jobs.keys() == {"rules", "exact"}
    assert "K=exact\n" in trace_of(project, jobs["exact"])


def test_what_a_job_puts_in_the_place_of_its_folders_is_not_followed(
    gitlab_server: LocalGitlab, tmp_path: Path
) -> None:
    (tmp_path / "secret.txt").write_text("of the host")
    definition = f"""
read:
  script: ['cd .. && mv "$CI_PROJECT_NAME" gone && ln -s {tmp_path} "$CI_PROJECT_NAME"']
  artifacts: {{paths: ["*.txt"]}}
write: {{script: ['mv "$HOME" "$HOME.old" && ln -s {tmp_path} "$HOME"'], after_script: [echo after]}}
variables: {{script: ['rm -rf "$HOME/variables" && ln -s {tmp_path} "$HOME/variables"'], after_script: [echo after]}}
"""
    project = gitlab_server.project()
    project.variables.create({"key": "SETTINGS", "value": "x", "variable_type": "file"})
    action = {"action": "create", "file_path": ".gitlab-ci.yml", "content": definition.replace("variables:", "jobs:")}
    made = project.commits.create({"branch": "main", "commit_message": "add", "actions": [action]})
    pipeline = wait_for(lambda: [p for p in project.pipelines.list(sha=made.id, get_all=True) if p.status in END])[0]
    jobs = {job.name: project.jobs.get(job.id) for job in pipeline.jobs.list(get_all=True)}
    for name in ("read", "write"):
        assert jobs[name].status == "failed"
        assert "the job replaced its folder" in trace_of(project, jobs[name])
    with pytest.raises(gitlab.GitlabGetError):
        jobs["read"].artifacts()
    assert [path.name for path in tmp_path.iterdir()] == ["secret.txt"]


def test_a_job_without_network_gets_no_masked_value_by_another_variables_name() -> None:
    payload = {
        "variables": [
            {"key": "SECRET", "value": "s3cret", "masked": True, "raw": True},
            {"key": "A", "value": "a$SECRET", "masked": False, "raw": False},
        ],
        "runner_info": {"timeout": 60},
    }
    folder = Path("/nowhere")
    assert script.job_env({}, payload, folder, folder, network=False)["A"] == "a"
    assert script.job_env({}, payload, folder, folder, network=True)["A"] == "as3cret"
