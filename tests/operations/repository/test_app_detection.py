"""What is found out about a Python repository from its files."""

import pytest

from factory.errors import InvalidInput
from factory.operations.repository import app_detection
from factory.operations.repository.app_detection import DetectedApp

PROJECT = '[project]\nname = "My_Shop"\ndependencies = ["Flask>=3"]\n'


def detect(files: dict[str, str], folder: str = "code") -> DetectedApp:
    return app_detection.detect(files, lambda path: files[path].encode(), folder=folder)


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (
            {"pyproject.toml": PROJECT, "shop/a.py": "", "tests/test_a.py": "", "docs/conf.py": "", "setup.py": ""},
            DetectedApp("my-shop", "flask", ("shop",), ("pyproject.toml",), 1, ()),
        ),
        (
            {"pyproject.toml": f"{PROJECT}[tool.ruff]\n", "uv.lock": 'name = "flask"', "src/shop/a.py": "", "a.py": ""},
            DetectedApp("my-shop", "flask", ("src",), ("uv.lock",), 0, ("ruff",)),
        ),
        (
            {
                "requirements.txt": "-r requirements/base.txt\ndjango==5\n-r missing.txt\n",
                "requirements/base.txt": "-c ../constraints.txt\n",
                "constraints.txt": "x==1\n",
                "app.py": "",
                "wsgi.py": "",
                "test_app.py": "",
                "ruff.toml": "",
            },
            DetectedApp(
                "code",
                "django",
                ("app.py", "wsgi.py"),
                ("requirements.txt", "requirements/base.txt", "constraints.txt"),
                1,
                ("ruff",),
            ),
        ),
        ({"tests/test_a.py": "", "pyproject.toml": "not toml ["}, DetectedApp("code", "", (".",), (), 1, ())),
    ],
)
def test_an_app_is_detected(files: dict[str, str], expected: DetectedApp) -> None:
    assert detect(files) == expected


def test_a_repository_without_python_is_refused() -> None:
    with pytest.raises(InvalidInput, match="no Python code"):
        detect({"index.js": ""})


def test_the_policy_corrects_what_was_detected() -> None:
    files = {"a.py": "", "policies/apps.yml": "root: shop\nsources: [lib]\ninstall: []\n"}
    found = app_detection.configured(files, lambda path: files[path].encode(), folder="code")
    assert found is not None
    assert (found.name, found.sources, found.install) == ("shop", ("lib",), ())
    assert app_detection.configured(["a.py"], lambda path: files[path].encode(), folder="code") is None


def test_a_name_that_is_no_name_gives_way_to_the_folders() -> None:
    assert detect({"a.py": ""}, folder="My Shop!").name == "my-shop"
    assert detect({"a.py": ""}, folder="123").name == "app"
