"""What is taken out of a repository, and what the plain pipeline says."""

import pytest

from factory.apps.resolved import ResolvedApp, resolve
from factory.errors import Refused
from factory.operations.repository import ejection
from factory.policies.apps import App, Place
from factory.policies.terraform import StackRule
from factory.system import strict_yaml

APPS = {
    "hello": App(
        environments={"staging": Place(hostname="www-s.acme.com"), "production": Place(hostname="www.acme.com")},
        health="/version",
        requests_per_minute=300,
    ),
    "late": App(environments={"staging": Place(hostname="late.acme.com")}, health="/", requests_per_minute=1),
}
FILES = {"src/__main__.py": "", "uv.lock": "", "app.yml": ""}


def resolved(name: str) -> ResolvedApp:
    return resolve(name, APPS[name], FILES, lambda path: FILES[path].encode())


STACKS = {"production": StackRule(after=("staging",)), "staging": StackRule()}
ROOTS = {"terraform/live/production/main.tf", "terraform/live/staging/main.tf"}
SOURCE = {"factory/__init__.py", "factory/cli/__init__.py", "scripts/factory", "Makefile", "tests/test_docs.py"}


def test_the_source_and_what_needs_it_are_deleted() -> None:
    kept = {"apps/hello/src/hello.py", "specs/hello.md", "README.md", *ROOTS}
    changes = ejection.made(SOURCE | kept | {".gitlab-ci.yml"}, APPS, STACKS, resolved)
    assert {path for path, content in changes.items() if content is None} == SOURCE
    assert {path for path, content in changes.items() if content} == {".gitlab-ci.yml", "requirements-terraform.lock"}


def test_the_pipeline_has_the_roots_in_order_with_their_apps() -> None:
    text = (ejection.made(SOURCE | ROOTS, APPS, STACKS, resolved)[".gitlab-ci.yml"] or b"").decode()
    found = strict_yaml.load_mapping(text, source="ci")
    assert found["stages"] == ["test", "build", "plan", "staging", "production"]
    assert found["apply-production"]["needs"] == ["build", "plan-production", "apply-staging"]
    assert found["apply-staging"]["needs"] == ["build", "plan-staging"]
    assert '"late-$CI_COMMIT_SHA"' in found[".staging"]["variables"]["TF_VAR_apps"]
    assert "late" not in found[".production"]["variables"]["TF_VAR_apps"]
    assert found["apply-production"]["rules"][0]["when"] == "manual"
    assert "factory" not in text
    script = "\n".join(found["build"]["script"])
    assert "uv export --project apps/hello" in script
    assert "--require-hashes --only-binary :all: --target build/late/packages" in script


def test_a_repository_with_the_wheel_keeps_its_own_pipeline() -> None:
    paths = {".gitlab/factory/pipeline.yml", ".gitlab/factory/factory-1-py3-none-any.whl", ".gitlab-ci.yml", "a.py"}
    changes = ejection.made(paths, {}, {}, resolved)
    assert set(changes) == {path for path in paths if path.startswith(".gitlab/factory/")}
    assert set(changes.values()) == {None}


def test_a_repository_without_the_factory_is_refused() -> None:
    with pytest.raises(Refused, match="no factory to take out"):
        ejection.made({"a.py", "tests/test_a.py"}, {}, STACKS, resolved)
