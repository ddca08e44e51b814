"""Prints results of commands: as tables or text, or as JSON."""

import json
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from factory.cli import hints
from factory.reports.tables import table
from factory.system import files

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co"})

as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
as_html = click.option(
    "--html", type=click.Path(path_type=Path, dir_okay=False), help="Write a page for a browser to this file."
)


def rows(
    found: Sequence["Mapping[str, object] | DataclassInstance"],
    columns: Sequence[str],
    *,
    json_wanted: bool,
    empty: str,
) -> None:
    """Print values as a table of ``columns``, or with all fields as JSON."""
    values = [item if isinstance(item, Mapping) else asdict(item) for item in found]
    if json_wanted:
        click.echo(json.dumps(values, indent=2, default=str))
    elif not values:
        click.echo(hints.named(empty))
    else:
        headings = [name.replace("_", " ") for name in columns]
        click.echo(visible(table(headings, [[item[name] for name in columns] for item in values])))


def visible(text: str) -> str:
    """Return a text with control, direction and invisible characters escaped, so that no terminal acts on them."""
    return "".join(c if c in "\n\t" or unicodedata.category(c) not in _HIDDEN else f"\\u{ord(c):04x}" for c in text)


def one(value: object, *, json_wanted: bool, text: str) -> None:
    """Print one value as JSON, or its ``text``."""
    if json_wanted:
        plain = asdict(value) if is_dataclass(value) and not isinstance(value, type) else value
        click.echo(json.dumps(plain, indent=2, default=str))
    else:
        click.echo(visible(hints.named(text)))


def write_page(path: Path, text: str) -> None:
    """Write a page to a file and say so."""
    files.write_atomic(path, text.encode())
    click.echo(f"{path} is written")


def say(line: str) -> None:
    """Print progress on standard error."""
    click.echo(f"  {visible(hints.named(line))}", err=True)
