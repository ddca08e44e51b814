"""The files of a new app: the smallest of its kind that passes every local gate. Pure."""

import re
from collections.abc import Collection, Mapping

from factory.errors import Conflict, InvalidInput
from factory.policies import apps
from factory.policies.apps import App
from factory.specs.new import render
from factory.specs.read import path_of
from factory.system import defaults, templates

NAME = re.compile(r"[a-z][a-z0-9-]{0,40}")
_FOLDER = "new_app"
# The files of each kind by their path in the app's folder, `module` standing for the app's name in Python, and the
# template of each.
KINDS: Mapping[str, Mapping[str, str]] = {
    "python": {
        "app.yml": "python.app.yml",
        "src/module.py": "python.source.py",
        "tests/test_module.py": "python.test.py",
    },
    "node": {
        "app.yml": "node.app.yml",
        "package.json": "node.package.json",
        "src/server.js": "node.source.js",
        "tests/server.test.js": "node.test.js",
    },
    "static": {
        "app.yml": "static.app.yml",
        "public/index.html": "static.source.html",
        "tests/test_module.py": "static.test.py",
    },
    "command": {
        "app.yml": "command.app.yml",
        "src/serve.sh": "command.source.sh",
        "tests/test.sh": "command.test.sh",
    },
}


def made(name: str, kind: str, *, owner: str, existing: Collection[str], others: Mapping[str, App]) -> dict[str, bytes]:
    """Return the new files of an app by their path in the repository, with a decided spec.

    ``existing`` are the repository's paths. In a repository whose ``others`` have hostnames, it gets some like theirs.
    Raises ``InvalidInput`` for an invalid name, ``Conflict`` if the app or its spec exists.
    """
    if not NAME.fullmatch(name):
        raise InvalidInput(f"{name!r} is not a valid app name: use lowercase letters, digits and hyphens")
    spec, folder = path_of(name), f"apps/{name}/"
    for path in existing:
        if path == spec or path.startswith(folder):
            raise Conflict(f"{path} already exists", hint="Choose another name.")
    # Not the name alone: a module of Python's standard library may have it.
    values = {"name": name, "module": f"{name.replace('-', '_')}_app", "requirement": f"{name.upper()}-1"}
    found = {
        f"{folder}{path.replace('module', values['module'])}": _rendered(template, values)
        for path, template in KINDS[kind].items()
    }
    if hostnames := apps.beside(others, name):
        found[f"{folder}{apps.FILE}"] = apps.render(hostnames, found[f"{folder}{apps.FILE}"]).encode()
    return {**found, spec: _spec(name, owner)}


def _rendered(template: str, values: Mapping[str, object]) -> bytes:
    source = f"{_FOLDER}/{template}.j2"
    return templates.render(defaults.read(source).decode(), values, source=source).encode()


def _spec(name: str, owner: str) -> bytes:
    greeting = f"`Hello from {name}`"
    text = render(
        spec=name,
        title=name,
        owner=owner,
        outcome=f"Visitors of {name} are greeted.",
        structure=f"The code is in `apps/{name}`. It uses no packages.",
        contract="`GET /` answers with a text.",
        requirements=[
            (
                f"`GET /` answers 200 with {greeting}.",
                f"Given {name} runs, When `/` is asked for, Then the answer has {greeting}.",
            )
        ],
    )
    return text.replace("status: draft", "status: decided", 1).encode()
