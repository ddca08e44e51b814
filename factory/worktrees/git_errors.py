"""What git's messages say to a person: the reason, the files that it names, and what the server answered."""

import re

from factory.errors import DiskFull, FactoryError, MachineError, Refused

_SHA = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_REASON = re.compile(r"^(?:fatal|error): (.+)")
_CREDENTIALS = re.compile(r"//[^/@\s]+@")
# GitPython quotes what a failed command printed.
_QUOTED = re.compile(r"\s*stderr: '(.*)'\s*", re.DOTALL)
_FULL = re.compile("No space left on device|Out of diskspace|Disk quota exceeded")
_MOST_NAMES = 5


def is_sha(text: str) -> bool:
    """Return whether a text is the full SHA of an object."""
    return _SHA.fullmatch(text) is not None


def checked(command: str, sha: str) -> str:
    """Return the SHA that a git command printed or takes; raises ``MachineError`` for any other text.

    A git whose input breaks off can print nothing and exit with 0, and to a push or to update-ref "" means: delete.
    """
    if not is_sha(sha):
        raise MachineError(f"git {command} failed: {sha[:80]!r} is no commit")
    return sha


def failed(failure: type[FactoryError], command: str, said: str) -> FactoryError:
    """Return the error for a git command that failed and printed ``said``."""
    message = f"git {command} failed: {cause(said)}"
    if "dubious ownership" in said:
        return Refused(
            message,
            hint="The factory reads no git configuration of yours, so `safe.directory` does not count: "
            "make the folder your own with `chown -R`, or name a clone of it.",
        )
    return DiskFull(message) if _FULL.search(said) else failure(message)


def cause(text: str) -> str:
    """Return git's first line with a reason, the names that it introduces, and what the server said, without tokens."""
    quoted = _QUOTED.fullmatch(text)
    lines = [line for line in (quoted[1] if quoted else text).splitlines() if line.strip()]
    place, told = next(
        ((place, match[1]) for place, line in enumerate(lines) if (match := _REASON.match(line))),
        (len(lines) - 1, lines[-1].strip() if lines else "no message"),
    )
    names = []
    for line in lines[place + 1 :]:
        if not line[0].isspace():
            break
        names.append(line.strip())
    told += f" {', '.join(names[:_MOST_NAMES])}" if told.endswith(":") else ""
    remote = remote_reason("\n".join(lines))
    told += f" ({remote})" if remote and remote not in told else ""
    return _CREDENTIALS.sub("//", told)


def remote_reason(text: str) -> str:
    """Return what the server said, in one line; empty if it said nothing."""
    found = [line.removeprefix("remote:").strip() for line in text.splitlines() if line.startswith("remote:")]
    return " ".join(line for line in found if line)
