"""What `factory infra add` changes in a company's repository, and where it changes nothing."""

import re
from pathlib import Path

import pytest

from factory.errors import Conflict, FactoryError, InvalidInput, Refused
from factory.operations.repository import infrastructure, starter
from factory.operations.repository.app_detection import DetectedApp
from factory.operations.repository.starter import Layout
from factory.policies import apps as app_files
from factory.worktrees.person_clone import PersonClone
from tests.servers import TOOL_ENV, git

STACKS = ("staging", "production")
GATES, SCOPE, PIPELINE = "policies/gates.yml", "policies/scope.yml", ".gitlab/factory/pipeline.yml"
APP = DetectedApp("shop", "", ("shop",), (), 1, ())


@pytest.fixture
def clone(tmp_path: Path) -> PersonClone:
    git("init", "-q", "-b", "main", cwd=tmp_path)
    return PersonClone(tmp_path, TOOL_ENV)


def added(
    clone: PersonClone,
    files: dict[str, bytes],
    *,
    layout: Layout | None = None,
    domains: dict[str, str] | None = None,
    adopted: bool = False,
    stacks: tuple[str, ...] = STACKS,
) -> dict[str, bytes | None]:
    return infrastructure.made(
        layout or Layout(),
        frozenset(files),
        files.__getitem__,
        stacks,
        domains=domains or infrastructure.domains_of("acme.com", ""),
        merge=clone.merge_file,
        adopted=adopted,
    )


def test_terraform_the_pipeline_and_the_policies_change_and_nothing_else(clone: PersonClone) -> None:
    files = starter.company("acme")
    made = added(clone, files)
    assert {path for path in made if path in files} == {PIPELINE, GATES, "policies/gitlab.yml"}
    new = {path for path in made if path not in files}
    assert all(path.startswith("terraform/") or path.endswith("requirements-terraform.lock") for path in new)
    assert len(files.keys() | new) <= 60
    assert b'default     = "acme.com"' in (made["terraform/live/production/zone.tf"] or b"")
    assert b'default     = "acme-staging.com"' in (made["terraform/live/staging/zone.tf"] or b"")
    assert not [path for path, data in made.items() if re.search(rb"hello[a-z-]*\.test", data or b"")]


def test_a_pipeline_of_its_own_stays_or_waits_for_an_upgrade(clone: PersonClone) -> None:
    later = starter.company("acme") | {".gitlab-ci.yml": b""}
    had = later | starter.contents(Layout(pipeline=True))
    for files, runs in ((later, False), (had, True)):
        made = added(clone, files, layout=starter.layout_of(set(files), files.__getitem__, folder="acme"))
        assert (b"own-pipeline:" in (made[PIPELINE] or b"")) == runs
        assert b"apply-production:" in (made[PIPELINE] or b"")
        assert starter.CHILD not in made


def test_an_app_that_can_be_built_gets_hostnames(clone: PersonClone) -> None:
    files = starter.company("acme") | {"apps/shop/src/__main__.py": b"", "apps/notes/README.md": b""}
    made = added(clone, files)
    own = {path: data for path, data in made.items() if data and path.startswith("apps/")}
    found = app_files.read(own)
    assert {name: place.hostname for name, place in found["shop"].environments.items()} == {
        "staging": "shop.acme-staging.com",
        "production": "shop.acme.com",
    }
    assert list(found) == ["shop"]
    one = added(clone, files, domains=infrastructure.shared("acme.com"), adopted=True)
    assert b"hostname: shop-staging.acme.com" in (one["apps/shop/app.yml"] or b"")
    kept = added(clone, files | {"apps/shop/app.yml": own["apps/shop/app.yml"]})
    assert not [path for path in kept if path.startswith("apps/")]


def test_the_persons_changes_are_kept_or_conflict(clone: PersonClone) -> None:
    files = starter.company("acme")
    mine = files | {GATES: files[GATES].replace(b"slowdown: 1.5", b"slowdown: 3.0"), "README.md": b"mine\n"}
    made = added(clone, mine)
    assert b"slowdown: 3.0" in (made[GATES] or b"")
    assert b"  plan: {where: pipeline" in (made[GATES] or b"")
    assert "README.md" not in made
    other = files | {GATES: files[GATES].replace(b"required: false}\n", b"required: true}\n")}
    with pytest.raises(Conflict, match=r"the infrastructure conflicts with your changes in policies/gates\.yml"):
        added(clone, other)


@pytest.mark.parametrize(
    ("files", "layout", "stacks", "error", "said"),
    [
        ({}, Layout(APP), STACKS, Refused, "is the app shop; the factory deploys only apps below apps/"),
        ({"terraform/x.tf": b""}, Layout(), STACKS, Conflict, r"terraform/x\.tf exists"),
        ({}, Layout(), ("staging",), InvalidInput, "names no stack 'production'"),
    ],
)
def test_what_is_refused(
    clone: PersonClone,
    files: dict[str, bytes],
    layout: Layout,
    stacks: tuple[str, ...],
    error: type[FactoryError],
    said: str,
) -> None:
    with pytest.raises(error, match=said) as caught:
        added(clone, starter.company("acme") | files, layout=layout, stacks=stacks)
    assert caught.value.hint


def test_a_repository_without_the_wheel_is_refused(clone: PersonClone) -> None:
    files = {path: data for path, data in starter.company("acme").items() if not path.endswith(".whl")}
    with pytest.raises(Refused, match="no wheel"):
        added(clone, files)


@pytest.mark.parametrize(("domain", "staging"), [("acme", ""), ("-x.com", ""), ("a.com", "a b"), ("a.com", "a.com")])
def test_a_domain_that_is_none_is_refused(domain: str, staging: str) -> None:
    with pytest.raises(InvalidInput):
        infrastructure.domains_of(domain, staging)
