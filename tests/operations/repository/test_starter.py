"""What the factory writes into a repository of each kind: an app's, a company's, one with infrastructure."""

import pytest

from factory.local_gitlab.definition import source_files
from factory.operations.repository import starter, toolkit_wheel
from factory.operations.repository.app_detection import DetectedApp
from factory.operations.repository.starter import Layout
from factory.policies import read as policy_files
from factory.system import defaults, strict_yaml

APP = DetectedApp("shop", "flask", ("shop",), ("pyproject.toml",), 1, ())
PIPELINE = ".gitlab/factory/pipeline.yml"
COMPANY = {
    "README.md",
    ".gitignore",
    "AGENTS.md",
    "policies/gates.yml",
    "policies/gitlab.yml",
    "policies/scope.yml",
    PIPELINE,
    ".gitlab/factory/requirements.lock",
    ".gitlab/factory/requirements-uv.lock",
    f".gitlab/factory/{toolkit_wheel.name()}",
}
LAYOUTS = {
    "an app": Layout(APP),
    "an app with a pipeline": Layout(APP, pipeline=True),
    "a company": Layout(),
    "a company with a pipeline": Layout(pipeline=True),
    "a company that deploys": Layout(infrastructure=True),
    "a company that deploys, with a pipeline": Layout(pipeline=True, infrastructure=True),
}


def test_a_company_begins_with_ten_files() -> None:
    made = starter.company("acme")
    assert set(made) == COMPANY
    assert made["README.md"].startswith(b"# acme\n")


def test_a_company_that_deploys_has_at_most_sixty_files() -> None:
    made = starter.contents(Layout(infrastructure=True))
    roots = {f"terraform/live/{name}/zone.tf" for name in ("staging", "production")}
    assert len(COMPANY | made.keys() | roots) <= 60
    assert "terraform/live/production/main.tf" in made
    assert not [path for path in made if path.endswith(("moved.tf", "zone.tf"))]
    for path in ("terraform/modules/stack/main.tf", "terraform/live/staging/versions.tf"):
        assert made[path] == defaults.read(path)


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_the_policies_are_valid_and_fit_the_pipeline(layout: Layout) -> None:
    made = starter.contents(layout)
    policies = policy_files.read({path: data for path, data in made.items() if path.startswith("policies/")})
    text = made[PIPELINE].decode()
    document = strict_yaml.compose(text, source=PIPELINE)
    jobs = strict_yaml.load_mapping(source_files.without_references(text, document), source=PIPELINE)
    needed = {item if isinstance(item, str) else item["job"] for item in jobs["gate"]["needs"]}
    assert needed <= set(jobs)
    assert needed == {"validate", "unit"} | ({"own-pipeline"} if layout.pipeline else set()) | (
        {"plan"} if layout.infrastructure else set()
    )
    assert ("own_pipeline" in policies.gates.gates) == layout.pipeline == (starter.CHILD in made)
    assert ("plan" in policies.gates.gates) == ("apply-production" in jobs) == layout.infrastructure
    assert ("production" in (policies.gitlab.environments or {})) == (layout.app is None)
    assert bool(policies.gitlab.resource_groups) == layout.infrastructure
    assert policies.apps.root == (layout.app.name if layout.app else None)
    assert "hello" not in text


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_a_repository_says_what_it_is(layout: Layout) -> None:
    made = {**starter.contents(layout), "shop/a.py": b"", "pyproject.toml": b"[project]\n"}
    found = starter.layout_of(set(made), made.__getitem__, folder="x")
    assert (bool(found.app), found.pipeline, found.infrastructure) == (
        bool(layout.app),
        layout.pipeline,
        layout.infrastructure,
    )
