"""What the files of real layouts say of how an app is built and run, and which of two that disagree counts."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from factory.apps.detection.detect import LARGEST, SOURCES, Detected, detect
from factory.apps.detection.draft import draft
from factory.apps.resolved import resolve
from factory.errors import InvalidInput, Refused
from factory.policies import apps

FLASK = {
    "requirements.txt": "flask\n",
    "shop.py": "",
    ".python-version": "3.12\n",
    "Dockerfile": """# syntax=docker/dockerfile:1
ARG PYTHON_VERSION=3.12.4
FROM python:${PYTHON_VERSION}-slim AS base
WORKDIR /app
RUN --mount=type=cache,target=/root/.cache/pip \\
    # the packages
    python -m pip install -r requirements.txt
RUN <<END
CMD ["not", "an", "instruction"]
END
EXPOSE 8000
HEALTHCHECK --interval=5s CMD curl -fsS http://localhost:8000/healthz || exit 1
CMD gunicorn 'shop:app' --bind=0.0.0.0:8000
""",
    "compose.yaml": """x-usual: &usual
  environment: {DEBUG: "1"}
services:
  web:
    <<: *usual
    build: {context: .}
    ports: ["127.0.0.1:8080:8000"]
  db:
    image: postgres:16
""",
    ".gitlab-ci.yml": """include: [{local: other.yml}]
default: {image: "python:3.11"}
unit:
  stage: test
  before_script: !reference [.setup, script]
  script:
    - pip install -r requirements.txt
    - pytest -q
""",
}
NEXT = {
    ".nvmrc": "v20.11.1\n",
    "package.json": '{"engines": {"node": ">=18"}, "scripts": {"start": "node server.js"}}',
    "Dockerfile": """FROM node:20-alpine AS base
FROM base AS builder
WORKDIR /app
RUN npm ci
FROM base
WORKDIR /app
ENV PORT=3000
EXPOSE 3000
ENTRYPOINT ["/usr/bin/dumb-init", "--"]
CMD ["npm", "start"]
""",
}
FASTAPI = {
    "pyproject.toml": '[project]\nname = "hours"\nrequires-python = ">=3.13"\n',
    "mise.toml": '[tools]\npython = "3.12"\nnode = ["22", "20"]\nterraform = "1"\n',
    "Dockerfile": 'FROM ghcr.io/astral-sh/uv:python3.13-bookworm-slim\nCMD ["uv", "run", "--no-dev", "fastapi", "run", '
    '"app/main.py", "--port", "80"]\n',
}
SITE = {
    "package.json": '{"scripts": {"build": "vite build"}}',
    "Dockerfile": "FROM node:22 AS build\nWORKDIR /site\nRUN npm run build\nFROM nginx:1.27-alpine\n"
    "COPY --from=build /site/out/web /usr/share/nginx/html\n",
}
WORKER = {
    "wrangler.jsonc": '{\n  // the site\n  "main": "worker.ts",\n  "assets": {"directory": "./public",},\n'
    '  /* and its build */ "build": {"command": "npm run build"},\n}\n',
}
HEROKU = {
    "Procfile": "web: gunicorn hours.wsgi\nworker: celery -A hours worker\n",
    "docker-compose.yml": "services:\n  a: {build: ., command: ./manage.py runserver, ports: ['80']}\n",
}


def detected(files: dict[str, str]) -> Detected:
    return detect(files, lambda path: files[path].encode())


def found(files: dict[str, str]) -> dict[str, str]:
    return {clue.field: f"{clue.text} ({clue.source})" for clue in detected(files).clues}


@pytest.mark.parametrize(
    ("files", "expected", "doubts"),
    [
        (
            FLASK,
            {
                "python": "3.12.4 (Dockerfile)",
                "run": "gunicorn shop:app --bind=0.0.0.0:$PORT (Dockerfile)",
                "port": "8000 (Dockerfile)",
                "health": "/healthz (Dockerfile)",
                "test": "pytest -q (.gitlab-ci.yml)",
            },
            [
                "compose.yaml: the service db (postgres:16) is not part of a release",
                ".gitlab-ci.yml: what it includes is not read",
                "python: 3.12.4 of Dockerfile is taken, but .gitlab-ci.yml says 3.11",
            ],
        ),
        (
            NEXT,
            {"node": "20.11.1 (.nvmrc)", "run": "node server.js (Dockerfile)", "port": "3000 (Dockerfile)"},
            ["run: no word of 'node server.js' says where it listens; a release must listen on $PORT"],
        ),
        (
            FASTAPI,
            {
                "python": "3.12 (mise.toml)",
                "node": "22 (mise.toml)",
                "run": "fastapi run app/main.py --port $PORT (Dockerfile)",
                "port": "80 (Dockerfile)",
            },
            [
                "mise.toml: it names several versions of node; the first is taken",
                "python: 3.12 of mise.toml is taken, but Dockerfile says 3.13, pyproject.toml says >=3.13",
            ],
        ),
        (
            SITE,
            {"kind": "static (Dockerfile)", "node": "22 (Dockerfile)", "files": "out/web (Dockerfile)"},
            ["Dockerfile: a web server's own configuration is not read"],
        ),
        (
            WORKER,
            {"build": "npm run build (wrangler.jsonc)", "files": "public (wrangler.jsonc)"},
            [
                "wrangler.jsonc: `main` is a Worker, which runs on Cloudflare alone; a release must listen by itself",
            ],
        ),
        (
            HEROKU,
            {"run": "gunicorn hours.wsgi (Procfile)", "port": "80 (docker-compose.yml)"},
            [
                "Procfile: the process worker is not part of a release",
                "run: no word of 'gunicorn hours.wsgi' says where it listens; a release must listen on $PORT",
                "run: gunicorn hours.wsgi of Procfile is taken, but docker-compose.yml says ./manage.py runserver",
            ],
        ),
    ],
    ids=["flask", "next", "fastapi", "site", "worker", "heroku"],
)
def test_what_real_layouts_say(files: dict[str, str], expected: dict[str, str], doubts: list[str]) -> None:
    assert (found(files), list(detected(files).doubts)) == (expected, doubts)
    assert detected(files).skipped == ()


@pytest.mark.parametrize(
    ("path", "text", "why"),
    [
        ("Dockerfile", "FROM python\n/bin/sh x\n", "Dockerfile:2: this is not an instruction"),
        ("Dockerfile", "RUN x\n", "RUN comes before FROM"),
        ("Dockerfile", "FROM a\nRUN <<END\nx\n", "Dockerfile:2: the here-document END has no end"),
        ("Dockerfile", "", "it has no FROM"),
        ("compose.yml", "services: [", "compose.yml:"),
        ("compose.yml", "a: &a [*a]\n", "compose.yml:"),
        ("compose.yml", "version: '3'\n", "it has no services"),
        ("Procfile", "web\n", "Procfile:1: the line is not like `web: command`"),
        ("mise.toml", "[tools\n", "mise.toml: it is not TOML"),
        (".nvmrc", "# none\n", ".nvmrc: it names no version"),
        ("wrangler.toml", "a = [", "wrangler.toml: it is not TOML"),
        ("wrangler.jsonc", "[1]", "wrangler.jsonc: expected an object"),
        ("wrangler.jsonc", "[" * 50_000, "wrangler.jsonc: it is not JSON"),
        (".gitlab-ci.yml", "- a\n", ".gitlab-ci.yml: expected a mapping"),
        ("package.json", "{", "package.json is not JSON"),
        ("Dockerfile", "#" * (LARGEST + 1), f"Dockerfile has {LARGEST + 1} bytes; at most {LARGEST} are read"),
    ],
)
def test_a_malformed_file_is_named_and_skipped(path: str, text: str, why: str) -> None:
    said = detected({path: text, ".python-version": "3.12"})
    assert len(said.skipped) == 1
    assert why in said.skipped[0]
    assert [clue.field for clue in said.clues] == ["python"]


def test_what_may_not_be_read_is_skipped_too() -> None:
    def read(path: str) -> bytes:
        if path == "Dockerfile":
            raise Refused("it leads out of the folder")
        return b"\xff"

    said = detect({"Dockerfile", "Procfile"}, read)
    assert said.skipped == ("Procfile is not UTF-8", "Dockerfile: it leads out of the folder")


@pytest.mark.parametrize(
    ("line", "run", "doubt"),
    [
        ("CMD ${PROGRAM:-x} && b", "", "needs a shell"),
        ('CMD ["sh", "-c", "exec gunicorn -b :${PORT:-8080} a:b"]', "gunicorn -b :$PORT a:b", ""),
        ('ENTRYPOINT ["/entrypoint.sh"]\nCMD ["python", "/srv/a.py"]', "python a.py", "entrypoint.sh"),
        ('CMD ["/usr/bin/own"]', "", "starts a program of the image"),
        ('CMD ["npm", "start"]', "", "runs a script that is not a program"),
        ('ENTRYPOINT ["python", "-m"]\nCMD ["shop"]', "python -m shop", ""),
        ('CMD ["python", "a\\u0000b"]', "", "words that no release can have"),
        ('CMD ["", "a"]', "", "words that no release can have"),
        ("EXPOSE 80 443/tcp 53/udp\nCMD a :80", "a :$PORT", "several ports"),
        ("HEALTHCHECK CMD ./alive\nCMD a :$PORT", "a :$PORT", "asks no address"),
    ],
)
def test_how_a_dockerfile_starts_the_program(line: str, run: str, doubt: str) -> None:
    said = detected({"Dockerfile": f"FROM debian\nWORKDIR /srv\n{line}\n"})
    assert " ".join(clue.text for clue in said.clues if clue.field == "run") == run
    assert doubt in "\n".join(said.doubts)


def test_the_draft_names_its_sources_and_completes_the_app() -> None:
    files = {**FLASK, "requirements.txt": ""}
    with pytest.raises(InvalidInput, match="`run`"):
        resolve("shop", apps.App(), files, lambda path: files[path].encode())
    text = draft(detected(files), None)
    assert b'run: ["gunicorn", "shop:app", "--bind=0.0.0.0:$PORT"]  # Dockerfile\n' in text
    (app,) = apps.read({"apps/shop/app.yml": text}).values()
    done = resolve("shop", app, files, lambda path: files[path].encode())
    assert (done.run[0], done.listen, done.health) == ("gunicorn", "port", "/healthz")
    assert draft(detected(files), done) == draft(
        detected({"Dockerfile": "FROM a\nHEALTHCHECK CMD curl http://localhost/healthz"}), done
    )
    assert draft(detected(HEROKU), None) == b""
    assert b'kind: static  # Dockerfile\nbuild: {files: ["out/web"]}' in draft(detected(SITE), None)


TEXTS = st.one_of(
    st.text(max_size=200),
    st.lists(
        st.sampled_from(
            [
                "FROM",
                "a",
                "\n",
                " ",
                "CMD",
                "[",
                "]",
                '"',
                "{",
                "}",
                ":",
                "\\",
                "<<A",
                "#",
                "services",
                "build",
                "&a",
                "*a",
                "<<: *a",
                "ports",
                "test",
                "script",
                "web: ",
                "$PORT",
                "3.12",
                "=",
                "'",
                "//",
                "/*",
                "*/",
                ",",
                "-",
            ]
        ),
        max_size=60,
    ).map("".join),
)


@given(st.dictionaries(st.sampled_from(sorted(SOURCES)), TEXTS, max_size=6))
def test_no_text_makes_it_fail(files: dict[str, str]) -> None:
    said = detected(files)
    assert said == detected(dict(reversed(files.items())))
    assert all(line.isprintable() for line in said.lines())
    assert {clue.source for clue in said.clues} <= set(files)
    made = draft(said, None)
    assert not made or apps.read({"apps/a/app.yml": made})


WORD = st.text(st.characters(exclude_categories=["C", "Z", "N"]), min_size=1, max_size=20)


@given(st.lists(WORD, min_size=1, max_size=8))
def test_the_words_of_a_command_come_through(words: list[str]) -> None:
    said = detected({"Dockerfile": f"FROM a\nCMD {json.dumps(['run', *words])}\n"})
    (clue,) = (clue for clue in said.clues if clue.field == "run")
    assert clue.value == ("run", *words)
