"""Reads ``apps/<name>/app.yml``: what an app needs from the infrastructure in each of its environments."""

import json
import re
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter, ValidationError

from factory.errors import InvalidInput
from factory.policies.fields import Name, RepositoryPath, Strict
from factory.policies.problems import document, parse

FILE = "app.yml"
PATH = re.compile(rf"apps/[^/]+/{re.escape(FILE)}")
Hostname = Annotated[
    str, Field(pattern=r"^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{0,61}[a-z0-9]$", max_length=253)
]
UrlPath = Annotated[str, Field(pattern=r"^/[!-~]*$", max_length=200)]
Kind = Literal["python", "node", "static", "command"]
Words = Annotated[tuple[Annotated[str, Field(min_length=1, max_length=1000)], ...], Field(strict=False, max_length=100)]
Variable = Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]{0,62}$")]


class Place(Strict):
    """The hostname of an app in one environment."""

    hostname: Hostname


class Build(Strict):
    """How a release is made: a command that runs without network, and the files that the release has.

    Paths are below the app's folder; a folder stands for everything in it.
    """

    command: Words = ()
    files: Annotated[tuple[RepositoryPath, ...], Field(strict=False)] = ()


class Limits(Strict):
    """What the processes of one release may use; ``disk_mb`` is what they may have in their writable folders."""

    memory_mb: Annotated[int, Field(ge=16, le=65_536)] = 512
    processes: Annotated[int, Field(ge=4, le=4096)] = 128
    disk_mb: Annotated[int, Field(ge=1, le=1_048_576)] = 1024


class Check(Strict):
    """A command that runs in the app's folder, and the SARIF or JUnit report that it leaves there, if it leaves one."""

    command: Annotated[Words, Field(min_length=1)]
    report: RepositoryPath | None = None


class Tests(Check):
    """The command of an app's tests, its JUnit report, and its LCOV or Cobertura report of the lines that ran."""

    coverage: RepositoryPath | None = None


class Checks(Strict):
    """The app's own checks, by their gates. An app without ``unit`` has the tests that policy names."""

    unit: Tests | None = None
    lint: Check | None = None
    types: Check | None = None
    security: Check | None = None
    contract: Check | None = None


class App(Strict):
    """What an app needs: a hostname in each environment, the path of its health check, a rate limit per client.

    An app without environments is not deployed. The other fields say how a release is built and run. Those that are
    absent follow from ``kind`` and from the app's files: ``factory app show`` prints them. ``lock`` is the file that
    names its packages with their hashes. ``run`` is the command of a release, without a shell. ``listen`` says where
    its program listens: on the unix socket ``$SOCKET``, or on ``$PORT`` of 127.0.0.1. With ``state``, the app has a
    folder in each environment, ``$STATE_DIRECTORY``, which outlives its releases; with ``database``, the secret
    ``$DATABASE_URL`` names its database. ``migrate`` is the command that brings state and database to the form that the
    release needs; it runs once, before the release starts. ``secrets`` are names of variables whose values the machine
    that runs the release has, and no file here.
    """

    environments: dict[Name, Place] = Field(default_factory=dict)
    health: UrlPath = "/"
    requests_per_minute: Annotated[int, Field(ge=1, le=1_000_000)] = 300
    kind: Kind | None = None
    lock: RepositoryPath | None = None
    build: Build = Field(default_factory=Build)
    run: Words = ()
    listen: Literal["socket", "port"] | None = None
    variables: dict[Variable, str] = Field(default_factory=dict)
    state: bool = False
    database: Literal["postgresql"] | None = None
    migrate: Words = ()
    secrets: Annotated[tuple[Variable, ...], Field(strict=False, max_length=100)] = ()
    limits: Limits = Field(default_factory=Limits)
    checks: Checks = Field(default_factory=Checks)


def read(files: Mapping[str, bytes]) -> dict[str, App]:
    """Return the apps in files named ``apps/<name>/app.yml``, by name.

    Raises ``InvalidInput`` with file, line and key, also if two apps have the same hostname.
    """
    found: dict[str, App] = {}
    taken: dict[str, str] = {}
    for path in sorted(files):
        given = document(path, files[path])
        app, problems = parse(App, given)
        if app is None:
            raise InvalidInput(problems[0])
        name = path.split("/")[1]
        for environment, place in app.environments.items():
            if place.hostname in taken:
                message = f"{place.hostname} already belongs to {taken[place.hostname]}"
                raise InvalidInput(given.problem(("environments", environment, "hostname"), message))
            taken[place.hostname] = f"{name} in {environment}"
        found[name] = app
    return found


def is_hostname(text: str) -> bool:
    """Return whether a text is a hostname as an app's file may name it: lower-case labels, at least two."""
    try:
        TypeAdapter(Hostname).validate_python(text)
    except ValidationError:
        return False
    return True


def render(hostnames: Mapping[str, str], own: bytes = b"") -> str:
    """Return the text of an app's file; ``hostnames`` maps environments to hostnames.

    ``own`` is the app's file so far, without environments; they are added at its end.
    """
    lines = [
        own.decode().rstrip("\n")
        or "# What the app needs; `factory app show` prints what else follows from its files.",
        "environments:",
        *(f"  {environment}: {{hostname: {hostname}}}" for environment, hostname in hostnames.items()),
        *([] if own else ["# GET must answer 200.", "health: /"]),
    ]
    return "\n".join(lines) + "\n"


def beside(others: Mapping[str, App], name: str) -> dict[str, str]:
    """Return a hostname for a new app in each environment of the other apps: ``<name>.`` and their domain."""
    found: dict[str, str] = {}
    for app in others.values():
        for environment, place in app.environments.items():
            found.setdefault(environment, f"{name}.{place.hostname.partition('.')[2]}")
    return found


def variable(apps: Mapping[str, App], environment: str, releases: Mapping[str, str]) -> str:
    """Return the JSON of a root module's variable ``apps`` in one environment; ``releases`` maps apps to releases."""
    value = {
        name: {
            "hostname": app.environments[environment].hostname,
            "release": releases[name],
            "requests_per_minute": app.requests_per_minute,
        }
        for name, app in apps.items()
        if environment in app.environments
    }
    return json.dumps(value, sort_keys=True)
