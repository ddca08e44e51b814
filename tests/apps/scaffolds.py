"""Apps that nobody here wrote: what scaffolding tools of npm and PyPI generate when the test runs, with a lock."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

_NPM_LOCK = ("npm", "install", "--package-lock-only", "--no-audit", "--no-fund")
# Their versions, so that a release of tomorrow fails no test of today.
_VITE, _FASTIFY, _DJANGO = "vite@9.3.0", "fastify-cli@8.0.2", "django==5.2.19"


@dataclass(frozen=True)
class Scaffold:
    """An app: the commands that make it, the files that a person adds, the lines that they change, what it answers.

    ``secrets`` are those of its app.yml, by name.
    """

    commands: tuple[tuple[str, ...], ...]
    answer: str
    files: dict[str, str] = field(default_factory=dict)
    changes: tuple[tuple[str, str, str], ...] = ()
    secrets: tuple[str, ...] = ()


SCAFFOLDS = {
    "site": Scaffold(
        (
            ("npm", "create", "--yes", _VITE, "web", "--", "--template", "vanilla-ts", "--no-interactive"),
            _NPM_LOCK,
        ),
        '<script type="module" crossorigin src="/assets/',
    ),
    "service": Scaffold(
        (("npx", "--yes", _FASTIFY, "generate", "web"), _NPM_LOCK),
        '{"root":true}',
    ),
    "framework": Scaffold(
        (
            ("uv", "tool", "run", "--quiet", "--from", _DJANGO, "django-admin", "startproject", "web"),
            ("uv", "pip", "compile", "--quiet", "--generate-hashes", "requirements.in", "-o", "requirements.txt"),
        ),
        "The install worked successfully",
        files={
            "requirements.in": f"{_DJANGO}\ngunicorn\n",
            "Procfile": "web: gunicorn --bind unix:$SOCKET web.wsgi\n",
            "app.yml": "secrets: [SECRET_KEY]\n",
        },
        # What the framework's own checklist for deployments asks for.
        changes=(
            ("web/settings.py", r"SECRET_KEY = .*", 'SECRET_KEY = os.environ["SECRET_KEY"]'),
            ("web/settings.py", r"ALLOWED_HOSTS = .*", 'ALLOWED_HOSTS = [".test", "localhost"]'),
            ("web/settings.py", r"from pathlib", "import os\nfrom pathlib"),
        ),
        secrets=("SECRET_KEY",),
    ),
}


def make(name: str, folder: Path, run: Callable[[tuple[str, ...], Path], object]) -> Scaffold:
    """Make an app in ``folder``/web; ``run`` runs a command in a folder."""
    scaffold = SCAFFOLDS[name]
    generate, *lock = scaffold.commands
    run(generate, folder)
    for path, text in scaffold.files.items():
        (folder / "web" / path).write_text(text)
    for path, old, new in scaffold.changes:
        file = folder / "web" / path
        before, after = re.split(old, file.read_text(), maxsplit=1)
        file.write_text(before + new + after)
    for command in lock:
        run(command, folder / "web")
    return scaffold
