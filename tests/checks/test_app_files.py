"""The files of an app whose folder is the repository: what git does not ignore."""

from pathlib import Path

from factory.checks import app_files, dependencies, tests_in_sources
from factory.model.app_paths import AppPaths
from factory.model.facts import Dependency
from tests.servers import TOOL_ENV, git

SHOP = AppPaths("shop", ("shop",))
FILES = {
    ".gitignore": ".venv/\n",
    ".venv/lib/flask/test_flask.py": "def test_x():\n    assert 1 == 1\n",
    "shop/__init__.py": "import flask\nfrom shop import coupons\n",
    "shop/coupons.py": "import json\n",
    "tests/test_coupons.py": "from shop import coupons\n\n\ndef test_a():\n    assert coupons\n",
    "requirements.txt": "flask==3.1.0\n",
    "policies/scope.yml": "",
}


def test_environments_and_the_factorys_files_are_no_part_of_the_app(tmp_path: Path) -> None:
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "link.py").symlink_to("shop/coupons.py")
    git("init", "-q", cwd=tmp_path)
    git("add", "shop", "requirements.txt", cwd=tmp_path)
    assert list(app_files.present(tmp_path, SHOP, env=TOOL_ENV)) == [
        ".gitignore",
        "requirements.txt",
        "shop/__init__.py",
        "shop/coupons.py",
        "tests/test_coupons.py",
    ]
    assert [test.name for test in tests_in_sources.collect(tmp_path, SHOP, env=TOOL_ENV)] == ["test_a"]
    assert dependencies.collect(tmp_path, SHOP, env=TOOL_ENV) == (
        Dependency("flask", "==3.1.0", "requirements.txt", 1, pinned=True),
        Dependency("flask", dependencies.IMPORTED, "shop/__init__.py", 1, pinned=True),
    )
