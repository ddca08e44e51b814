"""The project's own runners: which jobs each takes. Making one gives a token, so that is `factory gitlab runners`."""

from dataclasses import asdict

from factory.gitlab import runners
from factory.gitlab.settings.model import Fields, Section, Server, State


def _read(server: Server) -> State:
    found = {}
    for item in runners.find(server.connection):
        fields = asdict(item)
        found[item.name] = {name: fields[name] for name in ("tags", "protected", "run_untagged", "locked", "paused")}
    return found


def _write(server: Server, key: str, wanted: Fields, found: Fields | None) -> None:
    del found
    runners.change(server.connection, _number(server, key), wanted)


def _drop(server: Server, key: str, found: Fields) -> None:
    del found
    runners.remove(server.connection, _number(server, key))


def _number(server: Server, key: str) -> int:
    return next(item.id for item in runners.find(server.connection) if item.name == key)


RUNNERS = Section("runners", _read, _write, _drop, makes=lambda _: False)
