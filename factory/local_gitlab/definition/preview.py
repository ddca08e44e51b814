"""Joins the files of a definition (``include``, ``extends``, ``!reference``, ``default``) with gitlab-ci-local.

It also checks them against GitLab's schema. It evaluates conditions as JavaScript, so it must get none of a person's.
"""

import re
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from factory.errors import InvalidInput, MachineError, OutputTooLarge, ToolTimeout
from factory.sandbox import launch
from factory.sandbox.limits import Limits
from factory.system import canonical, files, process

_SECONDS, _MOST = 60, 8 * 2**20
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
        raise InvalidInput(_reason(done.errors + done.text, main))
    return done.text[max(done.text.find("---"), 0) :]


def _reason(said: str, main: str) -> str:
    """Return why gitlab-ci-local refused a definition: the findings of its schema, or the last line."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    found = [line.removeprefix("•").strip() for line in lines if line.startswith("•") and "json-schema" not in line]
    error = next((line for line in lines if re.match(r"\w*Error\b", line)), lines[-1] if lines else "no message")
    return f"{main}: {'; '.join(found[:5]) or error}"
