"""Checks git's output against a push rule and returns the first violation (docs: Push rules).

The pre-receive hook also runs this file, as a program without installed packages: ``push_rule_check.py <rule as JSON>
<kind> [<name>]`` with git's output on stdin. It exits with 1 if the rule refuses the push.
"""

import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any

# Git arguments for each kind of check; the caller appends the commits.
COMMITS = ("log", "-z", "--format=%ae%n%ce%n%B")
NAMES = ("log", "-z", "--name-only", "--diff-filter=ACMR", "--format=")
OBJECTS = ("rev-list", "--objects")
SIZES = ("cat-file", "--batch-check=%(objecttype) %(objectsize) %(rest)")
# GitLab docs: Push rules, prevent pushing secrets to the repository.
_KEYS = r"(rsa|dsa|ed25519|ecdsa|ecdsa_sk|ed25519_sk)"
_SECRETS = (
    r"aws\/credentials$",
    rf"(ssh|config)\/(personal|server)_{_KEYS}$",
    rf"id_{_KEYS}$",
    r"\.(pem|key|history)$",
    r"_history$",
)
_MIB = 1024 * 1024

Rule = Mapping[str, Any]


def branch(rule: Rule, name: str) -> str | None:
    """Return why a branch name is refused; the caller must exempt the default branch."""
    pattern = rule["branch_name_regex"]
    if pattern and not re.search(pattern, name):
        return f"Branch name does not follow the pattern '{pattern}'"
    return None


def tag(rule: Rule, name: str) -> str | None:
    """Return why deleting a tag is refused."""
    return f"You cannot delete a tag: {name}" if rule["deny_delete_tag"] else None


def commits(rule: Rule, text: str) -> str | None:
    """Return why one of the commits is refused; ``text`` is the output of ``COMMITS``."""
    return next(
        (reason for record in _records(text) for reason in _of_commit(rule, *f"{record}\n".split("\n", 2))), None
    )


def _of_commit(rule: Rule, author: str, committer: str, message: str) -> Iterator[str]:
    required, forbidden, email = (
        rule[name] for name in ("commit_message_regex", "commit_message_negative_regex", "author_email_regex")
    )
    if required and not re.search(required, message, re.MULTILINE):
        yield f"Commit message does not follow the pattern '{required}'"
    if forbidden and re.search(forbidden, message, re.MULTILINE):
        yield f"Commit message contains the forbidden pattern '{forbidden}'"
    for who, address in (("Committer", committer), ("Author", author)):
        if email and not re.search(email, address):
            yield f"{who}'s email '{address}' does not follow the pattern '{email}'"


def names(rule: Rule, text: str) -> str | None:
    """Return why one of the file names is refused; ``text`` is the output of ``NAMES``."""
    patterns = [*([rule["file_name_regex"]] if rule["file_name_regex"] else [])]
    patterns += _SECRETS if rule["prevent_secrets"] else ()
    for name in _records(text):
        for pattern in patterns:
            if re.search(pattern, name):
                return f'File name {name} was prohibited by the pattern "{pattern}".'
    return None


def sizes(rule: Rule, text: str) -> str | None:
    """Return why one of the file sizes is refused; ``text`` is the output of ``SIZES`` for ``OBJECTS``."""
    most = rule["max_file_size"]
    for line in text.splitlines() if most else ():
        kind, size, name = line.split(" ", 2)
        if kind == "blob" and int(size) > most * _MIB:
            return f'File "{name}" is larger than the allowed size of {most} MiB. Use Git LFS to manage this file.'
    return None


def _records(text: str) -> list[str]:
    return [record.lstrip("\n") for record in text.split("\0") if record.strip("\n")]


_OF_OUTPUT: Mapping[str, Callable[[Rule, str], str | None]] = {"commits": commits, "names": names, "sizes": sizes}
_OF_NAME: Mapping[str, Callable[[Rule, str], str | None]] = {"branch": branch, "tag": tag}


def _main(text: str, kind: str, *arguments: str) -> int:
    rule = json.loads(text)
    if kind in _OF_NAME:
        reason = _OF_NAME[kind](rule, *arguments)
    else:
        reason = _OF_OUTPUT[kind](rule, sys.stdin.buffer.read().decode(errors="replace"))
    if reason:
        sys.stderr.write(f"GitLab: {reason}\n")
    return 1 if reason else 0


if __name__ == "__main__":
    sys.exit(_main(*sys.argv[1:]))
