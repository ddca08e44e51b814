"""An upgrade of the factory that a repository carries: what the templates changed, merged with the person's changes."""

import io
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from factory.errors import Conflict
from factory.operations.repository import starter, toolkit_wheel, wheel_upgrade
from factory.operations.repository.app_detection import DetectedApp
from factory.operations.repository.starter import Layout
from factory.worktrees.person_clone import PersonClone
from tests.servers import TOOL_ENV, git

APP = Layout(DetectedApp("shop", "flask", ("shop",), ("pyproject.toml",), 1, ("ruff",)))
SCOPE, GATES = "policies/scope.yml", "policies/gates.yml"
OLD = ".gitlab/factory/factory-0.0.9-py3-none-any.whl"
NEW = f"{starter.TOOLKIT}/{toolkit_wheel.name()}"


def earlier(changes: dict[str, tuple[str, str]]) -> bytes:
    """Return the wheel as it was: with other texts in its templates (new, old)."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(toolkit_wheel.pack())) as now, zipfile.ZipFile(buffer, "w") as then:
        for name in now.namelist():
            data = now.read(name).decode() if name.endswith((".yml", ".j2", ".tf", "RECORD")) else now.read(name)
            for path, (new, old) in changes.items():
                if name == f"factory/defaults/{path}":
                    assert isinstance(data, str)
                    assert new in data
                    data = data.replace(new, old)
            then.writestr(name, data if isinstance(data, bytes) or not name.endswith("RECORD") else f"{data}older,,\n")
    return buffer.getvalue()


def repository(wheel: bytes, layout: Layout = APP) -> dict[str, bytes]:
    """Return the files of a repository that the earlier wheel brought under the factory."""
    return {**starter.contents(layout, package=wheel_upgrade.package_of(wheel)), OLD: wheel, "shop/a.py": b""}


@pytest.fixture
def clone(tmp_path: Path) -> PersonClone:
    git("init", "-q", "-b", "main", cwd=tmp_path)
    return PersonClone(tmp_path, TOOL_ENV)


def upgraded(files: dict[str, bytes], clone: PersonClone, layout: Layout = APP) -> wheel_upgrade.WheelUpgrade:
    return wheel_upgrade.made(layout, frozenset(files), files.__getitem__, merge=clone.merge_file)


def test_the_wheel_and_what_the_templates_changed_are_replaced(clone: PersonClone) -> None:
    wheel = earlier(
        {"repository/scope.yml.j2": ("max_files: 40", "max_files: 30"), "pipeline.yml": ("python:3.12", "python:3.11")}
    )
    files = repository(wheel)
    assert b"max_files: 30" in files[SCOPE]
    made = upgraded(files, clone)
    assert (made.before, made.after) == ("0.0.9", toolkit_wheel.name().split("-")[1])
    assert set(made.files) == {OLD, NEW, SCOPE, ".gitlab/factory/pipeline.yml"}
    assert made.files[OLD] is None
    assert b"max_files: 40" in (made.files[SCOPE] or b"")
    now = {name: data for name, data in {**files, **made.files}.items() if data is not None}
    assert upgraded(now, clone).files == {}


def test_the_persons_changes_are_kept_or_conflict(clone: PersonClone) -> None:
    files = repository(earlier({"repository/scope.yml.j2": ("max_files: 40", "max_files: 30")}))
    mine = files | {SCOPE: files[SCOPE].replace(b"small_lines: 30", b"small_lines: 99"), "AGENTS.md": b"mine\n"}
    del mine[GATES]
    merged = upgraded(mine, clone).files
    assert b"max_files: 40" in (merged[SCOPE] or b"")
    assert b"small_lines: 99" in (merged[SCOPE] or b"")
    assert not {GATES, "AGENTS.md"} & set(merged), "what a person deleted or wrote anew stays so"
    with pytest.raises(Conflict, match=r"conflicts with your changes in policies/scope\.yml"):
        upgraded(files | {SCOPE: files[SCOPE].replace(b"max_files: 30", b"max_files: 7")}, clone)


@pytest.mark.parametrize("layout", [Layout(), Layout(infrastructure=True)], ids=["company", "company that deploys"])
def test_a_companys_repository_is_upgraded(clone: PersonClone, layout: Layout) -> None:
    pipeline = "pipeline-infrastructure.yml" if layout.infrastructure else "pipeline.yml"
    wheel = earlier(
        {
            pipeline: ("python:3.12", "python:3.11"),
            "repository/gitlab.yml.j2": ("public_jobs: false", "public_jobs: true"),
            "terraform/modules/zone/outputs.tf": ("output", "# once\noutput"),
        }
    )
    files = repository(wheel, layout) | {"terraform/live/production/zone.tf": b"mine\n", "README.md": b"# acme\n"}
    mine = files | {
        "policies/gitlab.yml": files["policies/gitlab.yml"].replace(b"squash_option: never", b"squash_option: always")
    }
    made = upgraded(mine, clone, layout)
    changed = {OLD, NEW, ".gitlab/factory/pipeline.yml", "policies/gitlab.yml"}
    assert set(made.files) == changed | ({"terraform/modules/zone/outputs.tf"} if layout.infrastructure else set())
    settings = made.files["policies/gitlab.yml"] or b""
    assert b"squash_option: always" in settings
    assert b"public_jobs: false" in settings


@pytest.mark.parametrize("layout", [APP, Layout(), Layout(infrastructure=True)], ids=["app", "company", "deploys"])
@pytest.mark.parametrize("same", [True, False], ids=["the installed wheel", "an older wheel"])
def test_a_pipeline_that_came_later_gets_its_job(clone: PersonClone, layout: Layout, same: bool) -> None:  # noqa: FBT001 - pytest passes it by name
    wheel = toolkit_wheel.pack() if same else earlier({"repository/scope.yml.j2": ("max_files: 40", "max_files: 30")})
    files = repository(wheel, layout) | {".gitlab-ci.yml": b"job: {script: [make]}\n"}
    made = upgraded(files, clone, replace(layout, pipeline=True))
    came = {"policies/gates.yml", ".gitlab/factory/pipeline.yml", starter.CHILD}
    assert set(made.files) == came | (set() if same else {OLD, NEW, SCOPE})
    assert made.own_pipeline
    assert b"own-pipeline:" in (made.files[".gitlab/factory/pipeline.yml"] or b"")
    now = {name: data for name, data in {**files, **made.files}.items() if data is not None}
    again = upgraded(now, clone, starter.layout_of(set(now), now.__getitem__, folder="shop"))
    assert (again.files, again.own_pipeline) == ({}, False)


def test_what_a_template_no_longer_has_is_deleted_unless_it_changed(clone: PersonClone) -> None:
    earlier_files, new = {"a": b"1", "b": b"1"}, dict[str, bytes]()
    files = {"a": b"1", "b": b"mine"}
    changed = wheel_upgrade.merged(
        earlier_files, new, frozenset(files), files.__getitem__, merge=clone.merge_file, what="x"
    )
    assert changed == {"a": None}
    with pytest.raises(Conflict, match="x conflicts with your changes in a"):
        wheel_upgrade.merged({}, {"a": b"2"}, frozenset(files), files.__getitem__, merge=clone.merge_file, what="x")


def test_a_repository_without_a_wheel_carries_none() -> None:
    assert wheel_upgrade.carried(frozenset({"a.whl", ".gitlab/factory/pipeline.yml"})) == ""
