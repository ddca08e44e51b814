"""``factory host install``: writes the systemd units of a host and of its tunnel."""

import getpass
from pathlib import Path

import click

from factory.cli import environment as process_environment
from factory.cli import output
from factory.cli.host import options
from factory.errors import InvalidInput, ToolFailed
from factory.host import units
from factory.host.units import Unit
from factory.system import files, process
from factory.system.toolchain import checkout_env

_ROOT = "root"


@click.command()
@options.ENVIRONMENT
@options.URL
@options.PROJECT
@options.TRUST
@options.NAME
@click.option("--user", help="The account that runs it (default: yours).")
@click.option(
    "--cloudflared",
    type=click.Path(path_type=Path, exists=True, dir_okay=False, resolve_path=True),
    help="Cloudflare's connector, version 2025.4.0 or later: write a unit for the tunnel too.",
)
@click.option(
    "--out", type=click.Path(path_type=Path, file_okay=False), default=Path(), help="Where to write (default: here)."
)
@output.as_json
def command(
    *,
    environment: str,
    url: str,
    project: str,
    root: Path,
    name: str | None,
    user: str | None,
    cloudflared: Path | None,
    out: Path,
    as_json: bool,
) -> None:
    """Write systemd units that run ENVIRONMENT's host, and with --cloudflared its tunnel.

    Installs nothing and needs no root: it prints the commands that do. The tokens lie below /etc/factory, where only
    root reads them, and systemd hands each to its unit. Where systemd is, its own check must find nothing to say.
    """
    given = process_environment.snapshot()
    options.check(environment, url, name)
    account = user or getpass.getuser()
    if account == _ROOT:
        raise InvalidInput("a host does not run as root", hint="Name an account of its own with --user.")
    argv = (process.python(), "-P", "-m", "factory", "host", "run", environment, "--url", url, "--project", project)
    made = [units.host(environment, account, (*argv, "--trust", str(root), *(("--name", name) if name else ())))]
    made += [units.tunnel(environment, account, cloudflared)] if cloudflared else []
    out.mkdir(parents=True, exist_ok=True)
    paths = [out / unit.name for unit in made]
    for path, unit in zip(paths, made, strict=True):
        files.write_atomic(path, unit.text.encode())
    checked = _check(paths, checkout_env(given))
    lines = [f"written: {path}" for path in paths]
    lines += [] if checked else ["not checked: there is no systemd-analyze here"]
    value = {"units": [str(path) for path in paths], "tokens": [unit.token for unit in made], "checked": checked}
    key = f"sudo -u {account} factory host key {environment} --state /var/lib/factory/host/{environment}"
    lines += [*_following(paths, made), *([f"  {key}"] if name else [])]
    output.one(value, json_wanted=as_json, text="\n".join(lines))


def _check(paths: list[Path], env: dict[str, str]) -> bool:
    """Return whether systemd is here to check the units; raises ``ToolFailed`` with what it says of them."""
    program = process.find("systemd-analyze", env.get("PATH"))
    if program is None:
        return False
    done = process.run([program, "verify", *map(str, paths)], env=env, check=False)
    said = (done.errors or done.text).strip()
    if done.returncode or said:
        raise ToolFailed(f"systemd-analyze says of the units: {said or done.returncode}", hint="Correct the options.")
    return True


def _following(paths: list[Path], made: list[Unit]) -> list[str]:
    tokens = [f"  sudo install -D -m 600 FILE {unit.token}" for unit in made]
    names = " ".join(unit.name for unit in made)
    return [
        "next, with the token of each unit in a FILE:",
        *tokens,
        f"  sudo install -m 644 {' '.join(map(str, paths))} /etc/systemd/system",
        f"  sudo systemctl daemon-reload && sudo systemctl enable --now {names}",
    ]
