"""Jobs of a definition: what the joined files and their rules make, and the cache of the joined files."""

import os
from pathlib import Path
from typing import Any

import pytest

from factory.errors import InvalidInput
from factory.local_gitlab.definition import expand, preview
from factory.local_gitlab.definition.source_files import Source
from factory.local_gitlab.serving.git import Repository
from factory.system import strict_yaml
from tests.servers import expander, git


class Project:
    """A repository with the files of a definition; ``kept`` is the cache of joined files."""

    def __init__(self, folder: Path, files: dict[str, str]) -> None:
        self.kept, self.folder = folder / "kept", folder / "code"
        for name, text in files.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        git("init", "-qb", "main", cwd=self.folder)
        git("add", ".", cwd=self.folder)
        git("commit", "-qm", "a", cwd=self.folder)

    def jobs(self, *, request: bool = False, compare: str | None = None, **known: str) -> dict[str, dict[str, Any]]:
        """Return the jobs of a pipeline with these variables, by name."""
        sha = git("rev-parse", "HEAD", cwd=self.folder).stdout.strip()
        repository = Repository(self.folder / ".git", dict(os.environ))
        source = Source(repository, ".gitlab-ci.yml", sha, sha, compare, request)
        variables = expand.Variables(known, {}, {})
        found = expand.expand(source, variables, program=expander(), env=dict(os.environ), kept=self.kept)
        return {job["name"]: job for job in found}


def project(tmp_path: Path, definition: str, **files: str) -> Project:
    return Project(tmp_path, {".gitlab-ci.yml": definition, **files})


def test_only_the_files_decide_what_is_kept(tmp_path: Path) -> None:
    made = project(
        tmp_path,
        """
job:
  script: [echo]
  variables: {COMMIT: $CI_COMMIT_SHA, BRANCH: $CI_COMMIT_BRANCH}
  rules: [{if: $BRANCH == "main"}]
other: {script: [echo]}
""",
    )
    assert set(made.jobs(CI_COMMIT_BRANCH="main")) == {"job", "other"}
    assert set(made.jobs(CI_COMMIT_BRANCH="topic")) == {"other"}, "a rule sees a variable through one of the job's"
    assert len(list(made.kept.iterdir())) == 1


@pytest.mark.parametrize(
    "where",
    [
        "job: {script: [x], rules: [{if: '%s'}]}",
        ".data: {any: [{if: '%s'}]}\njob: {script: [x], rules: [!reference [.data, any]]}",
        ".a: {rules: [{if: '%s'}]}\njob: {extends: .a, script: [x]}",
        ".a: &a {rules: [{if: '%s'}]}\njob: {<<: *a, script: [x]}",
        "include: [{local: b.yml, rules: [{if: '%s'}]}]\njob: {script: [x]}",
        "workflow: {rules: [{if: '%s'}]}\njob: {script: [x]}",
    ],
)
def test_no_condition_is_run_as_a_program(tmp_path: Path, where: str) -> None:
    mark = tmp_path / "mark"
    program = f'globalThis.process.getBuiltinModule("fs").writeFileSync("{mark}", "x")'
    made = project(tmp_path, where % program, **{"b.yml": "b: {script: [x]}\n"})
    with pytest.raises(InvalidInput, match="cannot read the rule"):
        made.jobs()
    assert not mark.exists()


def test_a_title_is_a_value_and_no_part_of_a_condition(tmp_path: Path) -> None:
    made = project(
        tmp_path,
        """
admitted: {script: [x], rules: [{if: $CI_COMMIT_TITLE == "release" && $CI_COMMIT_BRANCH == "main"}]}
usual: {script: [x]}
""",
    )
    for title in ('\\"||true//', "release", '" || "a" == "a', '\\\\"||1//'):
        assert "admitted" not in made.jobs(CI_COMMIT_TITLE=title, CI_COMMIT_BRANCH="topic")


def test_rules_decide_when_variables_needs_and_failure(tmp_path: Path) -> None:
    made = project(
        tmp_path,
        """
first: {script: [x]}
second:
  script: [x]
  needs: []
  variables: {A: own, B: own}
  rules:
    - {if: $X == "skip", when: never}
    - {if: $X == "ask", when: manual, variables: {A: rule}, needs: [first]}
    - {if: $X == "risk", allow_failure: {exit_codes: [3]}}
    - when: on_failure
plain: {script: [x], when: manual}
strict: {script: [x], when: manual, allow_failure: false}
""",
    )
    assert "second" not in made.jobs(X="skip")
    asked = made.jobs(X="ask")["second"]
    assert (asked["when"], asked["allow_failure"]) == ("manual", False)
    assert [need["job"] for need in asked["needs"]] == ["first"]
    assert asked["variables"] == {"A": "rule", "B": "own"}
    assert made.jobs(X="risk")["second"]["allowed_exit_codes"] == [3]
    rest = made.jobs()
    assert (rest["second"]["when"], rest["second"]["needs"]) == ("on_failure", [])
    assert (rest["plain"]["allow_failure"], rest["strict"]["allow_failure"]) == (True, False)


def test_changes_and_exists_look_at_the_code(tmp_path: Path) -> None:
    made = project(
        tmp_path,
        """
changed: {script: [x], rules: [{changes: [docs/**/*]}]}
exists: {script: [x], rules: [{exists: ['*.md']}]}
absent: {script: [x], rules: [{exists: {paths: ['$DIR/*.md']}}]}
""",
        **{"README.md": "x"},
    )
    old = git("rev-parse", "HEAD", cwd=made.folder).stdout.strip()
    assert set(made.jobs(DIR="docs")) == {"changed", "exists"}, "a first push changes everything"
    assert set(made.jobs(compare=old)) == {"exists"}
    (made.folder / "docs").mkdir()
    (made.folder / "docs/ö.md").write_text("x")
    git("add", ".", cwd=made.folder)
    git("commit", "-qm", "b", cwd=made.folder)
    assert set(made.jobs(compare=old, DIR="docs")) == {"changed", "exists", "absent"}


def test_a_merge_requests_pipeline_takes_no_job_without_rules(tmp_path: Path) -> None:
    definition = "a: {script: [x]}\nb: {script: [x], rules: [{when: always}]}\n"
    assert set(project(tmp_path / "1", definition).jobs(request=True)) == {"b"}
    with_workflow = "workflow: {rules: [{when: always}]}\n" + definition
    assert set(project(tmp_path / "2", with_workflow).jobs(request=True)) == {"a", "b"}


@pytest.mark.parametrize(
    ("definition", "reason"),
    [
        ("a: {script: [x], needs: [b]}\nb: {script: [x], needs: [a]}", "circular"),
        (
            "a: {script: [x], rules: [{when: never}]}\nb: {script: [x], needs: [a]}",
            "'b' job needs 'a' job, but 'a' does not exist in the pipeline. This might be because of the rules",
        ),
        ("a: {script: [x], needs: [zz]}", "zz"),
        ("a: {script: [x], stage: zz}", "zz"),
        ("a: {script: 7}", "a"),
    ],
)
def test_what_cannot_be_is_refused_in_words(tmp_path: Path, definition: str, reason: str) -> None:
    with pytest.raises(InvalidInput, match=reason) as refused:
        project(tmp_path, definition).jobs()
    assert "json-schema-validation" not in str(refused.value)


@pytest.mark.long
def test_an_included_file_comes_from_the_definitions_commit(tmp_path: Path) -> None:
    made = project(
        tmp_path,
        "include: [{local: /ci/b.yml, rules: [{if: $X == 'yes'}]}]\na: {script: [x]}\n",
        **{"ci/b.yml": "b: {script: [x], rules: [{if: $Y}]}\n"},
    )
    assert set(made.jobs(X="no", Y="1")) == {"a"}
    assert set(made.jobs(X="yes", Y="1")) == {"a", "b"}
    assert set(made.jobs(X="yes")) == {"a"}


def test_jobs_of_the_first_and_last_stage_alone_make_no_pipeline(tmp_path: Path) -> None:
    assert project(tmp_path, "a: {script: [x], stage: .pre}\nb: {script: [x], stage: .post}\n").jobs() == {}


@pytest.mark.parametrize(
    ("definition", "told"),
    [
        ("a:\n  script: [x]\n  retry: 3\n", ".gitlab-ci.yml:3: a.retry: property 'retry' must be <= 2"),
        (".h:\n  script: [x]\n  paralel: 2\na: {extends: .h}\n", ".gitlab-ci.yml:3: a: 'paralel' property is not"),
        (
            "a: {script: [x], inherit: {variables: [NOPE]}}\n",
            "a keyword has a value of a form that GitLab does not know",
        ),
        ("a: {script: [x], tags: foo}\n", ".gitlab-ci.yml:1: a.tags: "),
    ],
)
def test_the_joining_programs_words_have_a_line_and_no_advice(tmp_path: Path, definition: str, told: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        project(tmp_path, definition).jobs()
    said = str(refused.value)
    assert told in said
    for foreign in ("Error:", "--ignore", "Copy the content", "/tmp", "[#/"):
        assert foreign not in said


def test_a_key_named_if_outside_rules_keeps_its_value(tmp_path: Path) -> None:
    definition = ".d: {x: {if: echo hello}}\na: {script: [!reference [.d, x, if]], variables: {if: $A == 'b'}}\n"
    (job,) = project(tmp_path, definition).jobs().values()
    assert (job["script"], job["variables"]["if"]) == (["echo hello"], "$A == 'b'")


def test_the_line_of_a_keyword_is_found_below_aliases_of_aliases() -> None:
    rows = ["x0: &x0 {deep: [1]}", *(f"x{n}: &x{n} [{', '.join([f'*x{n - 1}'] * 9)}]" for n in range(1, 30))]
    document = strict_yaml.compose("\n".join([*rows, "a: {script: [x], retry: 3}"]), source="x.yml")
    assert preview.line_of(document, ["a", "retry"]) == 31
    assert preview.line_of(document, ["a", "nothing"]) is None
