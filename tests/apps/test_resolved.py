"""An app's file completed by its kind and its files; what they leave open is named."""

from collections.abc import Mapping

import pytest

from factory.apps.resolved import ResolvedApp, resolve
from factory.errors import InvalidInput
from factory.policies.apps import App
from tests.apps import layouts


def resolved(files: Mapping[str, str], app: App | None = None) -> ResolvedApp:
    return resolve("shop", app or App(), set(files), lambda path: files[path].encode())


NEXT = '{"packages": {"": {"bin": {"own": "o"}}, "node_modules/next": {"bin": {"next": "dist/next"}}}}'
DEV_NEXT = NEXT.replace('{"bin": {"next"', '{"dev": true, "bin": {"next"')
DEEP_NEXT = NEXT.replace("node_modules/next", "node_modules/a/node_modules/next")
STARTS_NEXT = '{"scripts": {"start": "next start -p $PORT", "build": "next build"}}'
SITE = '{"scripts": {"build": "vite build", "dev": "vite"}}'
HASHED = {"requirements.txt": "flask==3.0 --hash=sha256:0\n"}


@pytest.mark.parametrize(
    ("files", "kind", "lock", "build", "kept", "run", "listen"),
    [
        (
            {**layouts.FLASK, **HASHED},
            "python",
            "requirements.txt",
            "",
            ".",
            "gunicorn --bind unix:$SOCKET shop:app",
            "socket",
        ),
        (layouts.PACKAGED, "python", "", "", ".", "python src", "port"),
        ({**layouts.PACKAGED, "uv.lock": ""}, "python", "uv.lock", "", ".", "python src", "port"),
        ({"__main__.py": ""}, "python", "", "", ".", "python .", "port"),
        (
            {"a.py": "", "Procfile": "release: x\nweb: python a.py ${PORT}\n"},
            "python",
            "",
            "",
            ".",
            "python a.py $PORT",
            "port",
        ),
        (
            {**layouts.NODE, "package-lock.json": "{}"},
            "node",
            "package-lock.json",
            "npm run build",
            ".",
            "node build/server.js",
            "port",
        ),
        (
            {"package.json": STARTS_NEXT, "index.html": "", "package-lock.json": NEXT},
            "node",
            "package-lock.json",
            "npm run build",
            ".",
            "node_modules/.bin/next start -p $PORT",
            "port",
        ),
        (
            {"package.json": SITE, "index.html": "", "package-lock.json": "{}"},
            "static",
            "package-lock.json",
            "npm run build",
            "dist",
            "static-site dist",
            "socket",
        ),
        ({"index.html": ""}, "static", "", "", ".", "static-site .", "socket"),
        ({"public/index.html": "", "README.md": ""}, "static", "", "", "public", "static-site public", "socket"),
    ],
)
def test_defaults_follow_from_kind_and_files(
    files: Mapping[str, str], kind: str, lock: str, build: str, kept: str, run: str, listen: str
) -> None:
    found = resolved(files)
    words = (" ".join(found.build), " ".join(found.files), " ".join(found.run), found.listen)
    assert (found.kind, found.lock, *words) == (kind, lock, build, kept, run, listen)
    assert set(found.origins.values()) & {"app.yml"} == set()


def test_what_the_file_says_counts_and_is_named_as_its_origin() -> None:
    said = App.model_validate(
        {
            "kind": "command",
            "build": {"command": ["make"], "files": ["server"]},
            "run": ["./server"],
            "listen": "socket",
        }
    )
    found = resolved(layouts.COMPILED, said)
    assert (found.build, found.files, found.run, found.listen) == (("make",), ("server",), ("./server",), "socket")
    names = {name for name, origin in found.origins.items() if origin == "app.yml"}
    assert names == {"kind", "build.command", "build.files", "run", "listen"}


@pytest.mark.parametrize(
    ("files", "app", "why"),
    [
        ({"README.md": ""}, {}, "`kind`"),
        ({"shop.py": ""}, {}, "`run`"),
        ({"Makefile": ""}, {"kind": "command"}, r"`build\.files`"),
        (layouts.FLASK, {}, "no lock file with their hashes"),
        ({"pyproject.toml": '[project]\ndependencies = [\n  "flask"]\n', "a.py": ""}, {}, "no lock file"),
        (layouts.NODE, {}, "no package-lock.json"),
        ({"package.json": "no"}, {}, "is not JSON"),
        ({"a.py": "", "Procfile": "web: python a.py | tee log\n"}, {}, "needs a shell"),
        ({"a.py": "", "Procfile": "web: python $(which a)\n"}, {}, "needs a shell"),
        ({"a.py": "", "Procfile": "web: python $HOME/a.py\n"}, {}, "needs a shell"),
        ({"package.json": '{"scripts": {"start": "next start"}}'}, {}, "`run`"),
        ({"package.json": STARTS_NEXT, "package-lock.json": DEV_NEXT}, {}, "`run`"),
        ({"package.json": STARTS_NEXT, "package-lock.json": DEEP_NEXT}, {}, "`run`"),
        ({"__main__.py": ""}, {"lock": "uv.lock"}, "lock names uv.lock"),
        ({"__main__.py": ""}, {"migrate": ["python", "-m", "migrate"]}, "migrate needs a state"),
        ({"__main__.py": ""}, {"secrets": ["KEY"], "variables": {"KEY": "x"}}, "KEY, which has a value in `variables`"),
        ({"__main__.py": ""}, {"secrets": ["PATH"]}, "secrets names PATH, which is the host's"),
    ],
)
def test_what_the_files_leave_open_is_named(files: Mapping[str, str], app: dict[str, object], why: str) -> None:
    with pytest.raises(InvalidInput, match=why):
        resolved(files, App.model_validate(app))
