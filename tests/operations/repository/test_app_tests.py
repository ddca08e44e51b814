"""The suites of the check `unit`: one for all apps, or one for each app with its own packages."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from factory.checks import coverage, junit
from factory.errors import Refused
from factory.model.facts import Coverage, TestCase, TestRun
from factory.operations.repository import app_tests
from factory.operations.repository.starter import Layout, contents
from factory.policies import read as policy_files
from factory.policies.folder import read_folder
from factory.policies.model import Policies
from tests.servers import ROOT

FILES = {
    "apps/shop/src/shop.py": "def price():\n    return 3\n\n\ndef other():\n    return 4\n",
    "apps/shop/tests/test_shop.py": "import shop\n\n\ndef test_price():\n    assert shop.price() == 3\n",
    "apps/blog/src/blog.py": "NAME = 'blog'\n",
    "apps/blog/tests/test_shop.py": "import blog\n\n\ndef test_name():\n    assert blog.NAME == 'blog'\n",
    "apps/site/index.html": "",
    "apps/site/src/site_code.py": "A = 1\n",
}


def company() -> Policies:
    found = contents(Layout())
    return policy_files.read({path: data for path, data in found.items() if path.startswith("policies/")})


def written(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def test_each_app_needs_what_its_own_files_name(tmp_path: Path) -> None:
    more = {
        "apps/shop/requirements.txt": "a==1\n-c limits.txt\n",
        "apps/shop/limits.txt": "b==2\n",
        "apps/shop/notes.txt": "",
        "apps/blog/uv.lock": "1",
        "apps/blog/pyproject.toml": "[project]\nname = 'blog'\n",
        "apps/blog/requirements.txt": "c==1\n",
        "requirements.txt": "d==1\n",
    }
    (written(tmp_path, {**FILES, **more}) / "apps/link").symlink_to("shop")
    found = app_tests.suites(company(), app_tests.apps_in(tmp_path), app_tests.contents(company(), tmp_path))
    needs = {suite.app: set(suite.needs) for suite in found}
    assert needs == {"shop": {"requirements.txt", "limits.txt"}, "blog": {"uv.lock", "pyproject.toml"}, "site": set()}
    shop = next(suite for suite in found if suite.app == "shop")
    assert "--source=apps/shop" in shop.command
    assert shop.variables(tmp_path) == {"PYTHONPATH": str(tmp_path / "apps/shop/src")}


def test_a_command_without_the_word_is_one_suite() -> None:
    [suite] = app_tests.suites(read_folder(ROOT), ("hello",), {})
    assert (suite.app, suite.needs, suite.runner) == ("", {}, None)


def run(tmp_path: Path, files: dict[str, str]) -> tuple[int, Any]:
    folder = written(tmp_path / "code", files)
    suites = app_tests.suites(company(), app_tests.apps_in(folder), {})
    code = app_tests.run(suites, folder, tmp_path / "out", env=dict(os.environ))
    assert int((tmp_path / "out/exit").read_text()) == code
    return code, junit.read_file(tmp_path / "out/junit.xml", (tmp_path / "out/exit").read_bytes())


def test_the_reports_of_all_apps_are_one(tmp_path: Path) -> None:
    code, report = run(tmp_path, FILES)
    assert code == 0, (tmp_path / "out/log.txt").read_text()
    assert {case.name for case in report.cases} == {
        "apps.blog.tests.test_shop.test_name",
        "apps.shop.tests.test_shop.test_price",
    }
    lines = coverage.read_file(tmp_path / "out/coverage.json")
    assert dict(lines.missing)["apps/shop/src/shop.py"] == (6,)
    assert dict(lines.executed)["apps/blog/src/blog.py"] == (1,)
    assert (
        "apps/site/src/site_code.py" not in dict(lines.executed)
        or not dict(lines.executed)["apps/site/src/site_code.py"]
    )


def test_a_test_that_fails_in_one_app_fails_all(tmp_path: Path) -> None:
    code, report = run(tmp_path, {**FILES, "apps/blog/src/blog.py": "NAME = 'x'\n"})
    assert code == 1
    assert sorted(case.outcome for case in report.cases) == ["failed", "success"]


def test_without_an_app_nothing_runs(tmp_path: Path) -> None:
    code, report = run(tmp_path, {"README.md": ""})
    assert (code, report) == (0, TestRun(code=0))
    assert json.loads((tmp_path / "out/coverage.json").read_text()) == {"files": {}}


def test_reports_are_joined() -> None:
    case = TestCase("a", "success")
    assert TestRun.joined([TestRun((case,), code=0), TestRun((case,), code=1)]) == TestRun((case, case), code=1)
    assert TestRun.joined([TestRun((case,), code=0), TestRun(problem="killed")]).problem == "killed"
    assert app_tests.without_tests(TestRun(code=5)) == TestRun(code=0)
    assert app_tests.without_tests(TestRun((case,), code=5)).code == 5
    lines = Coverage((("a", (1,)),), (("a", ()),))
    assert Coverage.joined([lines, Coverage(problem="none")]) == lines


@pytest.mark.parametrize("name", ["requirements.txt", "uv.lock"])
def test_a_link_out_of_the_checkout_is_refused(tmp_path: Path, name: str) -> None:
    folder = written(tmp_path / "code", FILES)
    (tmp_path / "secret").write_text("password\n")
    (folder / "apps/shop" / name).symlink_to(tmp_path / "secret")
    with pytest.raises(Refused, match="outside"):
        app_tests.contents(company(), folder)
