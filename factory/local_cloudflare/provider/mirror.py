"""Writes the filesystem mirror of the provider double, and the CLI configuration that points Terraform at it."""

import json
import platform
import shlex
from pathlib import Path

from factory.errors import MachineError
from factory.local_cloudflare.provider.provider import ADDRESS, VERSION
from factory.system import files

_MACHINES = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}

# The script uses /bin/sh because the kernel cuts a long #! line. The library stores a TLS key under HOME, which may be
# read-only or absent, and a socket in the temporary folder; the kernel limits a socket's path to about 100 bytes.
_SCRIPT = """#!/bin/sh
# The loopback double of Cloudflare's Terraform provider: it talks to 127.0.0.1 only. This is not Cloudflare's.
exec {python} -I -c '
import os, tempfile
from factory.local_cloudflare.provider.provider import main
if len(tempfile.gettempdir()) > 60:
    tempfile.tempdir = "/tmp"
with tempfile.TemporaryDirectory() as home:
    os.environ["HOME"] = home
    main(os.environ)
' "$@"
"""

_CLI_CONFIG = """# Terraform installs the loopback double of Cloudflare's provider, and nothing else, from this folder.
disable_checkpoint = true

provider_installation {{
  filesystem_mirror {{
    path    = {path}
    include = [{address}]
  }}
}}
"""


def write(root: Path, python: str) -> Path:
    """Write the mirror under ``root`` and return the path of its CLI configuration (for ``TF_CLI_CONFIG_FILE``).

    ``python`` is the interpreter that has this package. The same arguments give the same bytes, so that the hash in a
    lock file stays valid. Raises ``MachineError``.
    """
    folder = root.resolve() / ADDRESS / VERSION / _platform()
    script = _SCRIPT.format(python=shlex.quote(python))
    files.write_atomic(folder / f"terraform-provider-cloudflare_v{VERSION}", script.encode(), mode=0o755)
    config = root.resolve() / "terraform.tfrc"
    text = _CLI_CONFIG.format(path=_quoted(str(root.resolve())), address=_quoted(ADDRESS))
    files.write_atomic(config, text.encode())
    return config


def _platform() -> str:
    machine = _MACHINES.get(platform.machine().lower())
    if machine is None:
        raise MachineError(f"the provider double does not support the machine type {platform.machine()!r}")
    return f"{platform.system().lower()}_{machine}"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("${", "$${").replace("%{", "%%{")
