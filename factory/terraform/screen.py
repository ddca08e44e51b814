"""Looks at Terraform's text before terraform does: what could run code or read files at plan time is refused.

A merge request's configuration is planned with a token that reads. A provider from elsewhere, a provisioner, an
external data source or a function that reads files would reach that token or the machine.
"""

import re
from collections.abc import Sequence
from pathlib import Path

from factory.errors import Refused
from factory.system import files

_FORBIDDEN = (
    (
        "a function that reads files",
        re.compile(r"\b(?:templatefile|file\w*)\s*\("),
    ),
    ("a provisioner", re.compile(r"\b(?:provisioner|connection)\b\s*[\"{]")),
    ("an external or http data source", re.compile(r"\bdata\s+\"(?:external|http|local_\w+|terraform_remote_state)\"")),
    ("another address for a provider", re.compile(r"\b(?:base_url|api_token|api_key)\s*=")),
    ("a module from elsewhere", re.compile(r"\bmodule\s+\"")),
)
_SOURCE = re.compile(r"\bsource\s*=\s*\"([^\"]*)\"")
_COMMENT = re.compile(r"(?m)(?:#|//).*$|/\*.*?\*/", re.DOTALL)


def screen(root: Path, providers: Sequence[str]) -> None:
    """Raise ``Refused`` naming file and reason where a root's text is not allowed; only ``providers`` may be used."""
    for path in sorted(root.rglob("*")):
        if path.is_symlink():
            raise Refused(f"{path.relative_to(root)}: a link in a Terraform root")
        if not path.is_file() or ".terraform" in path.parts:
            continue
        if path.suffix != ".tf":
            raise Refused(f"{path.relative_to(root)}: only .tf files belong in a Terraform root")
        _screen_text(path.relative_to(root).as_posix(), files.read_text(path), providers)


def _screen_text(name: str, text: str, providers: Sequence[str]) -> None:
    code = _COMMENT.sub("", text)
    for reason, shape in _FORBIDDEN:
        if shape.search(text) or shape.search(code):
            raise Refused(
                f"{name}: {reason} is not allowed", hint="A person adds what is needed to the protected code."
            )
    for source in _SOURCE.findall(text):
        if source not in providers:
            raise Refused(f"{name}: the provider or module {source!r} is not in policies/terraform.yml")
