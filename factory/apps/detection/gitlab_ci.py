"""Reads a pipeline definition of GitLab: the images of its jobs, and how they test. Pure.

Source: docs.gitlab.com, CI/CD YAML syntax reference (image, default, global keywords).
"""

import re

from factory.apps.detection import images, yaml_nodes
from factory.apps.detection.reading import Notes, Reading
from factory.system.strict_yaml import Node

# Keywords of the document that are no jobs.
_GLOBAL = {
    "after_script",
    "before_script",
    "cache",
    "default",
    "image",
    "include",
    "pages",
    "services",
    "spec",
    "stages",
    "variables",
    "workflow",
}
_TESTS = re.compile(r"(?:^|[-_: ])(?:unit|tests?|pytest|jest|vitest|check)(?:$|[-_: ])")
_TEST_COMMAND = re.compile(
    r"(?:(?:uv|poetry|pdm) run )?(?:python3? -m )?(?:pytest|unittest|tox|nox)\b|"
    r"(?:npm|pnpm|yarn) (?:run )?test\b|npx (?:jest|vitest)\b|node --test\b|"
    r"(?:go|cargo|make|mvn|gradle) (?:test|check)\b"
)


def read(path: str, text: str) -> Reading:
    """Return what a pipeline definition says; raises ``InvalidInput`` if it is not one."""
    notes = Notes(path)
    top = yaml_nodes.pairs(yaml_nodes.document(path, text))
    jobs = {name: node for name, node in top.items() if name not in _GLOBAL and not name.startswith(".") and node.pairs}
    usual = top.get("image") or yaml_nodes.get(top.get("default"), "image")
    variables = {name: yaml_nodes.text(node) for name, node in yaml_nodes.pairs(top.get("variables")).items()}
    for image in (usual, *(yaml_nodes.get(job, "image") for job in jobs.values())):
        named = yaml_nodes.text(image) or yaml_nodes.text(yaml_nodes.get(image, "name"))
        for name, value in variables.items():
            named = named.replace(f"${{{name}}}", value).replace(f"${name}", value)
        if named:
            images.note(notes, named)
    if "include" in top:
        notes.doubt("what it includes is not read")
    tests = [line for name, job in jobs.items() if _is_test(name, job) for line in _lines(job)]
    if tests:
        notes.command("test", tests[0], named="the test job's script")
    return notes.reading()


def _is_test(name: str, job: Node) -> bool:
    return bool(_TESTS.search(name.lower())) or yaml_nodes.text(yaml_nodes.get(job, "stage")) == "test"


def _lines(job: Node) -> list[str]:
    """Return the lines of a job's script that run tests."""
    script = yaml_nodes.get(job, "script")
    written = [yaml_nodes.text(script), *yaml_nodes.texts(script)]
    lines = [line.strip() for text in written for line in text.splitlines()]
    return [line for line in lines if _TEST_COMMAND.match(line)]
