"""Lists the defects that can be seeded in an app. Pure: it writes no files."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence

from factory.checks.mutation import mistakes_in_code, mistakes_in_files, mistakes_in_tests, operators
from factory.checks.mutation import source as sources
from factory.checks.mutation.source import Source
from factory.errors import InvalidInput
from factory.model.challenge import Defect


def everything(files: Mapping[str, bytes]) -> tuple[Defect, ...]:
    """Return all mutants of an app's sources and all mistakes; arguments and errors are those of ``mistakes``."""
    mutants = [
        defect for source in _parts(files)[1] for defect in operators.mutations(source.path, source.data.decode())
    ]
    return (*mutants, *mistakes(files))


def mistakes(files: Mapping[str, bytes]) -> tuple[Defect, ...]:
    """Return the mistakes typical of agents that can be seeded in an app, by kind and place.

    ``files`` are the app's files by their path in the clone (``apps/<name>/src/…``, ``…/tests/…``), and files outside
    the app that an agent must not change. Raises ``InvalidInput`` if the app has no source, or one is not Python.
    """
    prefix, sources, tests = _parts(files)
    found = [defect for defect in _all(prefix, sources, tests, files) if defect is not None]
    defects = {(defect.kind, defect.files): defect for defect in found if _changes(defect, files)}
    return tuple(sorted(defects.values(), key=lambda defect: (defect.kind, defect.path, defect.line, defect.summary)))


def harmless(files: Mapping[str, bytes]) -> Defect:
    """Return a harmless change, a comment: if the gates fail on it, failing on a defect proves nothing."""
    source = _main(_parts(files)[1])
    function = source.functions()[0].lineno if source.functions() else 1
    first = source.starts[function - 1]
    data = source.edited((first, first, "# Nothing is seeded here.\n"))
    return Defect("control", source.path, function, "a comment", ((source.path, data),))


def sample(defects: Sequence[Defect], limit: int, seed: int) -> tuple[Defect, ...]:
    """Return at most ``limit`` defects in their order, drawn from each kind in turn; deterministic for a ``seed``."""

    def lot(text: str) -> bytes:
        return hashlib.sha256(f"{seed}:{text}".encode()).digest()

    kinds = sorted({defect.kind for defect in defects}, key=lot)
    drawn = {
        kind: sorted(
            (index for index, defect in enumerate(defects) if defect.kind == kind),
            key=lambda index: lot(f"{defects[index].path}:{defects[index].line}:{defects[index].summary}"),
        )
        for kind in kinds
    }
    turns = [
        drawn[kind][turn]
        for turn in range(max(map(len, drawn.values()), default=0))
        for kind in kinds
        if turn < len(drawn[kind])
    ]
    return tuple(defects[index] for index in sorted(turns[:limit]))


def _all(
    prefix: str, sources: Sequence[Source], tests: Sequence[Source], files: Mapping[str, bytes]
) -> Iterator[Defect | None]:
    for source in sources:
        yield from mistakes_in_code.mistakes(source, tests)
    yield from mistakes_in_code.once(_main(sources))
    for test in tests:
        yield from mistakes_in_tests.mistakes(test)
    yield from mistakes_in_files.mistakes(prefix, files)


def _main(sources: Sequence[Source]) -> Source:
    return max(sources, key=lambda source: len(source.functions()))


def _changes(defect: Defect, files: Mapping[str, bytes]) -> bool:
    return any(files.get(path) != data for path, data in defect.files)


def _parts(files: Mapping[str, bytes]) -> tuple[str, tuple[Source, ...], tuple[Source, ...]]:
    """Return the app's path prefix, its sources and its tests."""
    apps = {path.split("/src/")[0] for path in files if "/src/" in path and path.endswith(".py")}
    if len(apps) != 1:
        raise InvalidInput(f"the files contain {len(apps)} apps with Python in src/ instead of one")
    prefix = f"{apps.pop()}/"
    sources = _read(files, f"{prefix}src/")
    tests = _read(files, f"{prefix}tests/")
    return prefix, sources, tuple(test for test in tests if test.path.rpartition("/")[2].startswith("test_"))


def _read(files: Mapping[str, bytes], prefix: str) -> tuple[Source, ...]:
    paths = sorted(path for path in files if path.startswith(prefix) and path.endswith(".py"))
    return tuple(sources.read(path, _text(path, files[path])) for path in paths)


def _text(path: str, data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{path} is not UTF-8: {error}") from error
