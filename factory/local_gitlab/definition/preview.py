"""Joins the files of a definition (``include``, ``extends``, ``!reference``, ``default``) with gitlab-ci-local.

It also checks them against GitLab's schema. It evaluates conditions as JavaScript, so it must get none of a person's.
"""

import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from factory.errors import InvalidInput, MachineError, OutputTooLarge, ToolTimeout
from factory.sandbox import launch
from factory.sandbox.limits import Limits
from factory.system import canonical, files, process, strict_yaml
from factory.system.strict_yaml import Node

_SECONDS, _MOST = 60, 8 * 2**20
_FINDING = re.compile(r"^\s*•\s*(?P<words>.+?) at (?P<path>[^\s\[]+) \[#[^\]]*\]\s*$", re.MULTILINE)
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
# Errors of the program itself, whose words say nothing about the definition.
_OF_THE_PROGRAM = re.compile(r"(?:Type|Reference|Range|Syntax)Error\b")
_LIMITS = Limits(memory_bytes=4 * 2**30, processes=256, file_bytes=2**26)


def joined(main: str, texts: Mapping[str, str], *, program: tuple[str, ...], env: Mapping[str, str], kept: Path) -> str:
    """Return a definition as one YAML document; ``texts`` are its files by name, ``kept`` is a cache folder.

    Raises ``InvalidInput`` with the program's reason.
    """
    path = kept / _key(main, texts, program)
    found = _cached(path)
    if found is None:
        found = _run(main, texts, program=program, env=env)
        with suppress(MachineError):  # without the cache, the next pipeline only takes a second longer
            files.write_atomic(path, found.encode())
    return found


def _key(main: str, texts: Mapping[str, str], program: tuple[str, ...]) -> str:
    package = Path(program[-1]).parents[1] / "package.json"
    version = canonical.digest(files.read_bytes(package)) if package.exists() else list(program)
    return canonical.digest_of([version, main, dict(texts)]).removeprefix("sha256:") + ".yml"


def _cached(path: Path) -> str | None:
    try:
        return files.read_text(path)
    except InvalidInput:
        return None


def _run(main: str, texts: Mapping[str, str], *, program: tuple[str, ...], env: Mapping[str, str]) -> str:
    """Return the joined definition as YAML; the program runs behind the launch door, in a folder of the files alone."""
    with tempfile.TemporaryDirectory(prefix="factory-ci-") as folder:
        checkout = Path(folder).resolve() / "code"
        for name, text in texts.items():
            files.write_new(files.contained(checkout, name), text.encode())
        # It asks git for the names of project and commit, and for the files that may be included.
        for arguments in (
            ("init", "--quiet", "--initial-branch=main"),
            ("remote", "add", "origin", "http://127.0.0.1/group/project.git"),
            ("add", "--all", "--force"),
            ("-c", "user.name=x", "-c", "user.email=x@localhost", "commit", "--quiet", "--allow-empty", "-m", "x"),
        ):
            process.run(["git", *arguments], cwd=checkout, env=env)
        node, script = (Path(path).resolve() for path in program)
        prepared = launch.prepare(
            launch.Launch(
                argv=(str(node), str(script), "--file", main, "--preview", "--no-evaluate-rule-changes"),
                cwd=checkout,
                env={**env, "HOME": folder, "NO_COLOR": "1"},
                writable=(Path(folder).resolve(),),
                limits=_LIMITS,
                readable=(node.parents[1], script.parents[3]),
            )
        )
        try:
            done = process.run(
                prepared.argv, cwd=prepared.cwd, env=prepared.env, timeout=_SECONDS, most=_MOST, check=False
            )
        except (OutputTooLarge, ToolTimeout) as error:
            raise InvalidInput(f"{main}: the definition is too large to join: {error}") from error
        finally:
            launch.put_back(prepared)
    if done.returncode != 0:
        raise InvalidInput(_reason(done.errors + done.text, main, texts))
    return done.text[max(done.text.find("---"), 0) :]


def _reason(said: str, main: str, texts: Mapping[str, str]) -> str:
    """Return why gitlab-ci-local refused a definition: the findings of its schema with their lines, or its error."""
    plain = _COLOURS.sub("", said)
    found = [_with_line(match, main, texts) for match in _FINDING.finditer(plain)]
    if found:
        return "; ".join(dict.fromkeys(found))
    lines = [line.strip() for line in plain.splitlines() if line.strip()]
    error = next((line for line in lines if re.match(r"\w*Error\b", line)), lines[-1] if lines else "no message")
    if _OF_THE_PROGRAM.match(error):
        return (
            f"{main}: a keyword has a value of a form that GitLab does not know, and gitlab-ci-local cannot say which"
        )
    return f"{main}: {error}"


def _with_line(match: "re.Match[str]", main: str, texts: Mapping[str, str]) -> str:
    """Return a finding such as ``property 'retry' must be <= 2 at a.retry`` with the line of its keyword."""
    words, path = match["words"].strip(), match["path"].split(".")
    named = re.search(r"'([^']+)'", words)
    wanted = [*path, named[1]] if named and named[1] != path[-1] else path
    for source, text in sorted(texts.items(), key=lambda item: item[0] != main):
        with suppress(InvalidInput):
            line = line_of(strict_yaml.compose(text, source=source), wanted)
            if line is not None:
                return f"{source}:{line}: {'.'.join(path)}: {words}"
    return f"{main}: {'.'.join(path)}: {words}"


def line_of(document: Node | None, path: Sequence[str]) -> int | None:
    """Return the line of a keyword below a job, or of the same keyword below another, which the job may extend."""
    job, last = path[0], path[-1]
    below = [
        (key.text == job, line)
        for key, value in (document.pairs if document else ())
        for line in _lines(value, last, set())
    ]
    return next((line for _, line in sorted(below, key=lambda item: not item[0])), None)


def _lines(node: Node, name: str, seen: set[int]) -> Iterator[int]:
    """Yield the lines of the keys with a name; a node that several aliases name is visited once."""
    if id(node) in seen:
        return
    seen.add(id(node))
    for key, value in node.pairs:
        if key.text == name:
            yield key.line
        yield from _lines(value, name, seen)
    for item in node.items:
        yield from _lines(item, name, seen)
