"""``factory host secret``: gives an app a secret on the machine that runs it."""

import re
from pathlib import Path

import click

from factory.cli import environment as process_environment
from factory.cli import output
from factory.cli.host import options
from factory.cli.prompt import typed
from factory.errors import InvalidInput
from factory.host.app_secrets import AppSecrets
from factory.host.host import RELEASES

_APP, _NAME = re.compile(r"[a-z][a-z0-9-]{0,62}"), re.compile(r"[A-Z][A-Z0-9_]{0,62}")
_LARGEST = 65_536


@click.command()
@options.ENVIRONMENT
@click.argument("app")
@click.argument("name", default="")
@click.option("--remove", is_flag=True, help="Delete it.")
@options.STATE
@output.as_json
def command(environment: str, app: str, name: str, state: Path | None, *, remove: bool, as_json: bool) -> None:
    """Keep a secret for the releases of APP in ENVIRONMENT, or list the names of those that it has.

    The value is asked for, or read from standard input without its last line break. `secrets` in app.yml names the
    secrets that a release gets, as variables. A release that runs takes a new value when it is started again.
    """
    options.check(environment)
    for text, allowed in ((app, _APP), (name, _NAME)):
        if text and not allowed.fullmatch(text):
            raise InvalidInput(f"{text!r} must match ^{allowed.pattern}$")
    kept = AppSecrets(options.known(state, environment, process_environment.snapshot()) / RELEASES)
    if not name:
        rows = [{"name": item} for item in kept.names(app)]
        output.rows(rows, ("name",), json_wanted=as_json, empty=f"{app} has no secret here")
        return
    if remove:
        kept.remove(app, name)
    else:
        value = typed(f"{name} of {app}")
        if len(value.reveal()) > _LARGEST or "\0" in value.reveal():
            raise InvalidInput(f"a secret has at most {_LARGEST} characters, and no NUL")
        kept.put(app, name, value)
    done = "is removed" if remove else "is kept"
    text = f"{name} {done}; releases take that when they are started again: `factory host restart {environment} {app}`"
    output.one({"app": app, "name": name, "removed": remove}, json_wanted=as_json, text=text)
