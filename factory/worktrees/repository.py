"""Runs git through GitPython: one bare mirror per instance, connected to GitLab over HTTP.

A token is passed only in the environment of the git call that needs it, never in a URL, an argument or a file.
"""

import base64
import json
import secrets
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import git

from factory.errors import Conflict, FactoryError, MachineError, NotFound, Refused, Unreachable
from factory.system import clock, files, git_locks
from factory.worktrees import blobs
from factory.worktrees.blobs import NOBODY, Blob
from factory.worktrees.git_errors import cause, checked, failed, is_sha, remote_reason

# No git of ours holds a lock of the mirror that long.
_STALE = 30.0


@dataclass(frozen=True)
class Author:
    """The author and committer of a commit."""

    name: str
    email: str

    def env(self) -> dict[str, str]:
        """Return the environment that makes git write this author and committer."""
        return {
            "GIT_AUTHOR_NAME": self.name,
            "GIT_AUTHOR_EMAIL": self.email,
            "GIT_COMMITTER_NAME": self.name,
            "GIT_COMMITTER_EMAIL": self.email,
        }


@dataclass(frozen=True)
class Mirror:
    """The factory's own bare copy of the project; worktrees come from it."""

    path: Path
    url: str

    def ensure(self) -> None:
        """Create the mirror if it is missing, and remove what a killed git left in it."""
        if not (self.path / "HEAD").exists():
            with files.disk_errors(self.path):
                self.path.mkdir(parents=True, exist_ok=True)
            run(self.path, "init", "--bare", "--quiet", "--initial-branch=main")
            run(self.path, "config", "gc.auto", "0")
        git_locks.remove_stale(self.path, seconds=_STALE)

    def fetch(self, token: str) -> None:
        """Update ``refs/remotes/origin/*`` from GitLab; raises ``Unreachable``."""
        run(
            self.path,
            "fetch",
            "--quiet",
            "--prune",
            "--no-tags",
            self.url,
            "+refs/heads/*:refs/remotes/origin/*",
            env=credentials(self.url, token),
            failure=Unreachable,
        )

    def take(self, folder: Path, commit: str) -> None:
        """Fetch a commit and its history from a repository on this machine."""
        run(self.path, "fetch", "--quiet", "--no-tags", str(folder), f"{commit}:refs/seed/{commit}")

    def push_content(self, commit: str, branch: str, token: str) -> None:
        """Push a commit as ``push`` does, unless another call pushed the same content with another timestamp."""
        try:
            self.push(self._pushed(commit, branch) or commit, branch, token)
        except Conflict:
            # Another client may have pushed the same content since the last fetch, in the same second the same commit.
            self.fetch(token)
            if self._pushed(commit, branch) is None:
                raise

    def _pushed(self, commit: str, branch: str) -> str | None:
        """Return the branch's commit if it has the content of ``commit``."""
        pushed = self.head(branch)
        return pushed if pushed is not None and self.tree_of(pushed) == self.tree_of(commit) else None

    def push(self, commit: str, branch: str, token: str) -> None:
        """Fast-forward a branch on GitLab to ``commit``.

        Raises ``Conflict`` if it is not a fast-forward, ``Refused`` if GitLab rejects the push, ``Unreachable`` for any
        other failure. A push of the branch's current commit does nothing.
        """
        checked("push", commit)
        code, out, err = _git(self.path).execute(
            ["git", "push", "--porcelain", self.url, f"{commit}:refs/heads/{branch}"],
            with_extended_output=True,
            with_exceptions=False,
            env={**NOBODY, **credentials(self.url, token)},
        )
        if code == 0:
            run(self.path, "update-ref", f"refs/remotes/origin/{branch}", commit)
            return
        flags = [line.split("\t") for line in str(out).splitlines() if line.startswith("!")]
        summary = flags[0][-1] if flags else ""
        # If two clients create one branch at once, git's lock decides, and the server reports a rejection to the other.
        if any(word in summary for word in ("reference already exists", "cannot lock ref", "failed to update ref")):
            raise Conflict(f"{branch} has moved on GitLab: {summary}")
        if summary.startswith("[remote rejected]"):
            raise Refused(f"GitLab refused the push to {branch}: {remote_reason(str(err)) or cause(str(err))}")
        if summary.startswith("[rejected]"):
            raise Conflict(f"{branch} has moved on GitLab: {summary}")
        raise Unreachable(f"cannot push to {branch}: {cause(str(err))}")

    def push_once(self, commit: str, branch: str, token: str) -> None:
        """Push as ``push`` does, unless the branch contained the commit at the last fetch.

        A run that begins again, as after a server that did not answer, finds later commits on its branch.
        """
        there = self.head(branch)
        if there is None or not self.is_ancestor(commit, there):
            self.push(commit, branch, token)

    def head(self, branch: str) -> str | None:
        """Return a branch's commit as of the last fetch."""
        return self.resolve(f"refs/remotes/origin/{branch}")

    def resolve(self, name: str) -> str | None:
        """Return the commit that a ref or SHA names, if there is one; raises ``MachineError`` if git fails."""
        if not (self.path / "HEAD").exists():
            return None
        code, out, err = _execute(
            self.path, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}"
        )
        if code > 1 or code < 0:
            raise MachineError(f"git rev-parse failed: {cause(err)} (exit code {code})")
        return out if code == 0 else None

    def tree_of(self, commit: str) -> str:
        """Return the SHA of a commit's tree; commits with equal content have equal trees."""
        return run(self.path, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{commit}^{{tree}}")

    def branches(self, prefix: str) -> list[str]:
        """Return the names of the branches below a prefix, as of the last fetch."""
        text = run(self.path, "for-each-ref", "--format=%(refname)", f"refs/remotes/origin/{prefix}")
        return [line.removeprefix("refs/remotes/origin/") for line in text.splitlines()]

    def messages(self, *revisions: str) -> list[tuple[str, str]]:
        """Return SHA and message of each commit that ``git log`` lists for ``revisions``, newest first."""
        text = run(self.path, "log", "--format=%H%x00%B%x01", *revisions, "--")
        records = (record.strip("\n") for record in text.split("\x01"))
        return [(record[:40], record[41:]) for record in records if record]

    def read(self, revision: str, path: str) -> bytes:
        """Return a file's content at a revision; raises ``NotFound``, or ``MachineError`` if git fails."""
        found = [item for item in self._listed(revision, path) if item.path == path]
        if not found:
            raise NotFound(
                f"{path} is not in {revision}",
                hint=f"List what is there: `git -C {self.path} ls-tree -r --name-only {revision}`.",
            )
        return blobs.contents(self.path, found)[0]

    def tree(self, revision: str, prefix: str = "") -> dict[str, bytes]:
        """Return the content of every file below a folder at a revision, by path; empty if the folder is missing.

        Raises ``NotFound`` for an unknown revision, ``MachineError`` if git fails.
        """
        found = self._listed(revision, prefix)
        return dict(zip((item.path for item in found), blobs.contents(self.path, found), strict=True))

    def _listed(self, revision: str, prefix: str) -> list[Blob]:
        try:
            return blobs.listed(self.path, revision, prefix)
        except MachineError:
            if not is_sha(revision) and self.resolve(revision) is None:
                raise NotFound(
                    f"there is no commit {revision} in {self.path}",
                    hint="Check the name; a commit that nobody pushed is not there.",
                ) from None
            raise

    def paths(self, revision: str) -> list[str]:
        """Return the paths of all files at a revision."""
        return run(self.path, "ls-tree", "-r", "--name-only", "-z", revision).strip("\0").split("\0")

    def matching(self, revision: str, text: str) -> list[str]:
        """Return the paths of the files at a revision that have a line with ``text``."""
        code, out, err = _execute(
            self.path, "grep", "--fixed-strings", "--files-with-matches", "-z", "-e", text, revision
        )
        if code not in {0, 1}:
            raise MachineError(f"git grep failed: {cause(err)}")
        return [hit.removeprefix(f"{revision}:") for hit in out.split("\0") if hit]

    def is_ancestor(self, older: str, newer: str) -> bool:
        """Tell whether ``newer`` contains ``older``; an unknown commit contains nothing and is contained in none."""
        code, _, err = _execute(self.path, "merge-base", "--is-ancestor", older, newer)
        if code not in {0, 1} and "Not a valid" not in err:
            raise MachineError(f"git merge-base failed: {cause(err)} (exit code {code})")
        return code == 0

    def merge_base(self, one: str, other: str) -> str:
        """Return the best common ancestor; raises ``NotFound``."""
        return checked("merge-base", run(self.path, "merge-base", one, other, failure=NotFound))

    def commit(
        self,
        changes: Mapping[str, bytes | None],
        *,
        parent: str | None,
        message: str,
        author: Author,
        trees: Mapping[str, str] | None = None,
        merged: str | None = None,
    ) -> str:
        """Write a commit with changed files (``None`` removes a file) on top of ``parent``; return its SHA.

        ``trees`` maps folders to whole trees, which are written before ``changes``; ``merged`` is a second parent.
        ``git fast-import`` writes the commit, because it is one program and needs no index or worktree.
        """
        who = f"{author.name} <{author.email}> {int(clock.now().timestamp())} +0000".encode()
        ref = f"refs/scratch/{secrets.token_hex(8)}"
        parts = [b"commit ", ref.encode(), b"\nmark :1\nauthor ", who, b"\ncommitter ", who, b"\n"]
        parts.append(_data(message.encode()))
        if parent:
            parts.append(f"from {parent}\n".encode())
        if merged:
            parts.append(f"merge {merged}\n".encode())
        for folder, tree in (trees or {}).items():
            parts.append(f"M 040000 {tree} {json.dumps(folder)}\n".encode())
        for path, content in changes.items():
            name = json.dumps(path, ensure_ascii=False).encode()
            change = b"D " + name + b"\n" if content is None else b"M 100644 inline " + name + b"\n" + _data(content)
            parts.append(change)
        parts.append(b"get-mark :1\ndone\n")
        commit = run(self.path, "fast-import", "--quiet", "--done", "--date-format=raw", stdin=b"".join(parts))
        run(self.path, "update-ref", "-d", ref)
        return checked("fast-import", commit)


def run(
    folder: Path,
    *arguments: str,
    env: Mapping[str, str] | None = None,
    stdin: bytes = b"",
    failure: type[FactoryError] = MachineError,
) -> str:
    """Run a git command in a folder and return its output; raises ``failure`` if the command fails."""
    try:
        with tempfile.TemporaryFile() as source:
            source.write(stdin)
            source.seek(0)
            answer = _git(folder).execute(["git", *arguments], env={**NOBODY, **(env or {})}, istream=source)
    except git.exc.GitCommandNotFound as error:
        raise MachineError("git is not installed", hint="Install git and run the command again.") from error
    except git.exc.GitCommandError as error:
        raise failed(failure, arguments[0], str(error.stderr)) from error
    return str(answer)


def _execute(folder: Path, *arguments: str) -> tuple[int, str, str]:
    """Run a git command; return its exit code, output and errors."""
    try:
        code, out, err = _git(folder).execute(
            ["git", *arguments], with_extended_output=True, with_exceptions=False, env=NOBODY
        )
    except git.exc.GitCommandNotFound as error:
        raise MachineError("git is not installed", hint="Install git and run the command again.") from error
    return code, str(out), str(err)


def _data(content: bytes) -> bytes:
    return b"data %d\n%s\n" % (len(content), content)


def credentials(url: str, token: str) -> dict[str, str]:
    """Return the environment that lets git authenticate to ``url`` with a token."""
    basic = base64.b64encode(f"oauth2:{token}".encode()).decode()
    return {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"http.{url}.extraHeader",
        "GIT_CONFIG_VALUE_0": f"Authorization: Basic {basic}",
    }


def _git(folder: Path) -> git.Git:
    return git.Git(str(folder))
