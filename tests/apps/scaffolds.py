"""Apps that nobody here wrote: what scaffolding tools of npm and PyPI generate when the test runs, with a lock."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

_NPM_LOCK = ("npm", "install", "--package-lock-only", "--no-audit", "--no-fund")
# Their versions, so that a release of tomorrow fails no test of today.
_VITE, _FASTIFY, _DJANGO = "vite@9.3.0", "fastify-cli@8.0.2", "django==5.2.19"


@dataclass(frozen=True)
class Scaffold:
    """An app: the commands that make it, the text that a person adds to it by file, its kind, and what it answers."""

    commands: tuple[tuple[str, ...], ...]
    files: dict[str, str]
    kind: str
    answer: str


SCAFFOLDS = {
    "site": Scaffold(
        (
            ("npm", "create", "--yes", _VITE, "web", "--", "--template", "vanilla-ts", "--no-interactive"),
            _NPM_LOCK,
        ),
        {},
        "static",
        '<script type="module" crossorigin src="/assets/',
    ),
    "service": Scaffold(
        (("npx", "--yes", _FASTIFY, "generate", "web"), _NPM_LOCK),
        {},
        "node",
        '{"root":true}',
    ),
    "framework": Scaffold(
        (
            ("uv", "tool", "run", "--quiet", "--from", _DJANGO, "django-admin", "startproject", "web"),
            ("uv", "pip", "compile", "--quiet", "--generate-hashes", "requirements.in", "-o", "requirements.txt"),
        ),
        {
            "requirements.in": f"{_DJANGO}\ngunicorn\n",
            "Procfile": "web: gunicorn --bind unix:$SOCKET web.wsgi\n",
        },
        "python",
        "The install worked successfully",
    ),
}


def make(name: str, folder: Path, run: Callable[[tuple[str, ...], Path], object]) -> Scaffold:
    """Make an app in ``folder``/web; ``run`` runs a command in a folder."""
    scaffold = SCAFFOLDS[name]
    generate, *lock = scaffold.commands
    run(generate, folder)
    for path, text in scaffold.files.items():
        (folder / "web" / path).write_text(text)
    for command in lock:
        run(command, folder / "web")
    return scaffold
