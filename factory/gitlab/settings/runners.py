"""Reads, changes and removes the project's own runners; `factory gitlab runners` creates them."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from factory.gitlab import runners
from factory.gitlab.settings.model import Fields, Section, Server, State, keyed, number_of

_FIELDS = ("tags", "protected", "run_untagged", "locked", "paused")


def _existing(server: Server) -> dict[str, Mapping[str, Any]]:
    return keyed((asdict(item) for item in runners.find(server.connection)), "name")


def _read(server: Server) -> State:
    return {key: {name: item[name] for name in _FIELDS} for key, item in _existing(server).items()}


def _write(server: Server, key: str, wanted: Fields, found: Fields | None) -> None:
    del found
    runners.change(server.connection, _number(server, key), wanted)


def _drop(server: Server, key: str, found: Fields) -> None:
    del found
    runners.remove(server.connection, _number(server, key))


def _number(server: Server, key: str) -> int:
    return number_of(_existing(server), key)


RUNNERS = Section("runners", _read, _write, _drop, maker=lambda _: "factory gitlab runners register")
