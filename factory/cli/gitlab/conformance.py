"""``factory conformance``: records a GitLab server's responses to the product's own calls, and compares recordings."""

import json
from pathlib import Path
from typing import Any

import click

from factory.cli import output
from factory.cli.environment import snapshot
from factory.cli.prompt import typed
from factory.errors import GateFailed, InvalidInput
from factory.gitlab import accounts, conformance_transcript
from factory.gitlab.conformance_transcript import Answer
from factory.instance.workspace import OPERATOR
from factory.operations import conformance
from factory.reports.markdown import count
from factory.secrets import tokens
from factory.system import files


@click.group()
def command() -> None:
    """Record a GitLab server's responses to the product's own calls, and compare two recordings."""


@command.command()
@click.option("--url", required=True, help="The server, like https://gitlab.com.")
@click.option("--namespace", default="", help="The group to work in (default: the token's own namespace).")
@click.option("--out", type=click.Path(path_type=Path), help="The file to write.")
@click.option("--patience", default=900.0, show_default=True, help="Seconds to wait for each stage of the pipeline.")
@output.as_json
def record(url: str, namespace: str, out: Path | None, patience: float, as_json: bool) -> None:
    """Create a private project, use it as the factory does, run twelve jobs, delete it, and print the transcript.

    The token is FACTORY_TOKEN_OPERATOR, or entered at a hidden prompt, or read from standard input. The transcript has
    the status and JSON shape of each response, without names, numbers or texts.
    """
    token = snapshot().get(tokens.variable(OPERATOR)) or typed("Your token").reveal()
    address = accounts.address(url)
    found = conformance.record(address, token=token, namespace=namespace, say=output.say, patience=patience)
    real = not found.version.endswith("-local")
    value = {
        "server": "GitLab" if real else "local_gitlab (a loopback double of GitLab, not GitLab)",
        "version": found.version,
        "tier": found.tier,
        "jobs": found.jobs,
        "answers": [answer.to_json() for answer in found.answers],
    }
    if out is not None:
        files.write_atomic(out, (json.dumps(value, indent=1) + "\n").encode())
    lines = [f"{answer.status}  {answer.call}" for answer in found.answers]
    lines.append(f"{len(lines)} answers of {found.version} ({found.tier}){f' are in {out}' if out else ''}")
    output.one(value, json_wanted=as_json, text="\n".join(lines))


@command.command()
@click.argument("real", type=click.Path(path_type=Path))
@click.argument("loopback", type=click.Path(path_type=Path))
@output.as_json
def compare(real: Path, loopback: Path, as_json: bool) -> None:
    """Show how the transcript LOOPBACK differs from REAL: another status, or a field of another type or not in REAL."""
    found = conformance_transcript.faults(_read(real), _read(loopback))
    output.one({"faults": found}, json_wanted=as_json, text="\n".join(found) or "no differences")
    if found:
        raise GateFailed(
            f"{count(len(found), 'difference')} between the answers",
            hint="Fix factory/local_gitlab, or record both again.",
        )


def _read(path: Path) -> list[Answer]:
    try:
        value: Any = json.loads(files.read_text(path))
        return [Answer(**item) for item in value["answers"]]
    except (ValueError, KeyError, TypeError) as error:
        raise InvalidInput(f"{path} is not a transcript: {error}") from error
