"""The systemd units of a host and of its tunnel's connector. Pure.

Sources: systemd.service(5), systemd.exec(5), systemd.unit(5).
"""

import re
from dataclasses import dataclass
from pathlib import Path

from factory.errors import InvalidInput

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
# Where a person puts the tokens; only root reads them, and systemd hands each to its unit.
_TOKENS = "/etc/factory"

_HOST = """\
# Runs the releases of {environment}, as `factory host run` does. Written by `factory host install`.
[Unit]
Description=Releases of {environment}
Wants=network-online.target
After=network-online.target

[Service]
User={user}
LoadCredential=gitlab-token:{tokens}/gitlab-token
StateDirectory=factory/host/{environment}
RuntimeDirectory=factory/{environment}
ExecStart={command} --state %S/factory/host/{environment} --sockets %t/factory/{environment}
Restart=always
RestartSec=5
# The releases end with the host, and have the time of a request.
KillMode=mixed
TimeoutStopSec=30
NoNewPrivileges=yes

[Install]
WantedBy=multi-user.target
"""
_TUNNEL = """\
# Connects the tunnel of {environment} to Cloudflare. Written by `factory host install`.
[Unit]
Description=Tunnel of {environment}
Wants=network-online.target
After=network-online.target factory-host-{environment}.service

[Service]
# As the host: the sockets of its releases are for this user alone.
User={user}
LoadCredential=tunnel-token:{tokens}/tunnel-token
ExecStart={program} --no-autoupdate tunnel run --token-file %d/tunnel-token
Restart=always
RestartSec=5
NoNewPrivileges=yes

[Install]
WantedBy=multi-user.target
"""


@dataclass(frozen=True)
class Unit:
    """A unit file, and the token that systemd hands to it."""

    name: str
    text: str
    token: str


def host(environment: str, user: str, command: tuple[str, ...]) -> Unit:
    """Return the unit of a host; ``command`` runs it, without the folders. Raises ``InvalidInput``."""
    tokens = f"{_TOKENS}/{environment}"
    text = _HOST.format(environment=environment, user=_word(user), tokens=tokens, command=" ".join(map(_word, command)))
    return Unit(f"factory-host-{environment}.service", text, f"{tokens}/gitlab-token")


def tunnel(environment: str, user: str, program: Path) -> Unit:
    """Return the unit of the tunnel's connector, the program ``cloudflared``. Raises ``InvalidInput``."""
    tokens = f"{_TOKENS}/{environment}"
    text = _TUNNEL.format(environment=environment, user=_word(user), tokens=tokens, program=_word(str(program)))
    return Unit(f"factory-tunnel-{environment}.service", text, f"{tokens}/tunnel-token")


def _word(text: str) -> str:
    """Return one word of a command line of systemd, which knows quotes, `%` and `$`."""
    if _CONTROL.search(text) or not text:
        raise InvalidInput(f"{text!r} cannot stand in a systemd unit")
    plain = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{plain}"' if re.search(r"[\s\"'\\;]", plain) else plain
