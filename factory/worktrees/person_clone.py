"""The person's own clone: its remote for the project, its branch, and pushes as the person's own git makes them.

git asks a credential helper for the token, so no URL, argument or configuration has it (gitcredentials(7)).
"""

import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from factory.errors import Conflict, InvalidInput, Refused
from factory.model.gitlab import MAIN
from factory.system import files, process
from factory.worktrees.git_errors import cause
from factory.worktrees.repository import Author, Mirror

_PATIENCE = 600.0
_IDENTITY = re.compile(r"(.+) <(.+)> \d+ [+-]\d+")
# git's own refusal of what is no fast-forward (git-push(1), --porcelain); the server's is "[remote rejected]".
_BEHIND = re.compile(r"^!\t.*\t\[rejected\]", re.MULTILINE)
# How people write the address of a repository: as a URL, or as ssh's user@host:path.
_ADDRESS = re.compile(r"(?:[a-z+]+://)?(?:[^@/]+@)?([^:/]+(?::\d+(?=/))?)[:/](.+?)(?:\.git)?/?")


def origin_of(url: str) -> str:
    """Return a URL's scheme and host, as git names them to a credential helper."""
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.partition('/')[0]}"


def _project(address: str) -> tuple[str, ...]:
    """Return host and path of a repository's address, however it is written; empty for any other text."""
    found = _ADDRESS.fullmatch(address)
    return (found[1].lower(), found[2]) if found else ()


@dataclass(frozen=True)
class Ahead:
    """What a branch has that main lacks: the commits' subjects and bodies, oldest first, and the size of the change.

    ``behind`` counts the commits of main that the branch lacks.
    """

    commits: tuple[tuple[str, str], ...]
    files: int
    added: int
    removed: int
    behind: int


@dataclass(frozen=True)
class PersonClone:
    """A clone that a person works in; ``env`` is the person's environment, without the factory's tokens."""

    path: Path
    env: Mapping[str, str]

    def branch(self) -> str:
        """Return the checked-out branch; raises ``Refused`` on main, or on no branch."""
        name = self.current()
        if name in {"", MAIN}:
            raise Refused(
                f"this is {name or 'no branch'}; a change needs a branch of its own", hint="Run `git switch -c NAME`."
            )
        return name

    def current(self) -> str:
        """Return the checked-out branch, or an empty text."""
        return self._git("branch", "--show-current", check=False)

    def default_branches(self) -> dict[str, str]:
        """Return the default branch with its commit: that of the remote origin, else those of ``main`` and ``master``.

        Only what exists is returned; the names of both come in that order.
        """
        remote = self._git("symbolic-ref", "--quiet", "--short", "refs/remotes/origin/HEAD", check=False)
        names = [remote.removeprefix("origin/")] if remote else [MAIN, "master"]
        found: dict[str, str] = {}
        for name in names:
            for ref in (f"refs/heads/{name}", f"refs/remotes/origin/{name}"):
                commit = self._git("rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}", check=False)
                if commit:
                    found.setdefault(name, commit)
        return found

    def uncommitted(self) -> int:
        """Return how many files have changes that no commit has."""
        return len(self._git("status", "--porcelain", "--untracked-files=no").splitlines())

    def connect(self, instance: str, url: str, helper: str) -> str:
        """Set the remote of an instance's project and its credential helper; return the remote's name.

        A remote that leads to the project already stays as it is, also by ssh. Otherwise the remote is ``origin`` if
        there is none, else ``factory`` or ``factory-<instance>``; it follows a server that changes its address. Raises
        ``Conflict`` if a remote of that name leads elsewhere.
        """
        key = f"factory.{instance}.remote"
        known = {name: self._git("remote", "get-url", name) for name in self._git("remote").split()}
        name = self._git("config", "--local", "--get", key, check=False)
        name = name or next((name for name, address in known.items() if _project(address) == _project(url)), "")
        if not name:
            name = "factory" if instance == "default" else f"factory-{instance}"
            name = name if "origin" in known else "origin"
            if name in known:
                raise Conflict(
                    f"the remote {name} of {self.path} leads to {known[name]}, not to {url}",
                    hint=f"Rename it with `git remote rename {name} OTHER`, then run this again.",
                )
        if _project(known.get(name, "")) != _project(url):
            self._git("config", "--local", f"remote.{name}.url", url)
            self._git("config", "--local", f"remote.{name}.fetch", f"+refs/heads/*:refs/remotes/{name}/*")
        section = f"credential.{origin_of(url)}"
        # The empty helper leaves out those that the person's other settings name, so that none stores the token.
        self._git("config", "--local", "--replace-all", f"{section}.helper", "")
        self._git("config", "--local", "--add", f"{section}.helper", helper)
        self._git("config", "--local", key, name)
        return name

    def remote(self, instance: str) -> str:
        """Return the name of an instance's remote; raises ``Refused`` if none was set."""
        name = self._git("config", "--local", "--get", f"factory.{instance}.remote", check=False)
        if not name:
            raise Refused("this clone has no remote of the project", hint="Run `factory up`, or `factory connect URL`.")
        return name

    def ahead(self, remote: str) -> Ahead:
        """Fetch main, and return what the checked-out commit has that main lacks."""
        self._git("fetch", "--quiet", "--no-tags", remote, f"+refs/heads/{MAIN}:refs/remotes/{remote}/{MAIN}")
        main = f"refs/remotes/{remote}/{MAIN}"
        listed = self._git("log", "--reverse", "--format=%s%x00%b%x01", f"{main}..HEAD")
        commits = [item.strip("\n").partition("\0") for item in listed.split("\x01") if item.strip("\n")]
        rows = [line.split("\t")[:2] for line in self._git("diff", "--numstat", f"{main}...HEAD").splitlines()]
        added, removed = (sum(int(row[side]) for row in rows if row[side].isdigit()) for side in (0, 1))
        behind = int(self._git("rev-list", "--count", f"HEAD..{main}"))
        return Ahead(tuple((subject, body.strip()) for subject, _, body in commits), len(rows), added, removed, behind)

    def push(self, remote: str, branch: str) -> None:
        """Push the checked-out commit to a branch of the remote, and follow that branch.

        Raises ``Conflict`` if the branch has commits there that this checkout lacks, as after a rebase; ``Refused``.
        """
        argv = ["git", "push", "--porcelain", "--set-upstream", remote, f"HEAD:refs/heads/{branch}"]
        done = process.run(argv, env=self.env, cwd=self.path, timeout=_PATIENCE, check=False)
        if done.returncode and _BEHIND.search(done.text):
            raise Conflict(
                f"{remote} has commits of {branch} that this checkout lacks",
                hint=f"If you rebased or amended them, run `git push --force-with-lease {remote} {branch}`, otherwise "
                f"`git pull --rebase {remote} {branch}`; then run this again.",
            )
        if done.returncode:
            raise Refused(f"git push failed: {cause(done.errors)}", hint="Nothing was pushed: git's reason is above.")

    def checkout(self, remote: str, branch: str) -> None:
        """Check out a branch of the remote; a local branch of that name moves to it if it has nothing of its own."""
        tracked = f"refs/remotes/{remote}/{branch}"
        self._git("fetch", "--quiet", "--no-tags", remote, f"+refs/heads/{branch}:{tracked}")
        if self._git("rev-parse", "--verify", "--quiet", f"refs/heads/{branch}", check=False):
            self._git("switch", "--quiet", branch)
            self._git("merge", "--quiet", "--ff-only", tracked)
        else:
            self._git("switch", "--quiet", "--create", branch, "--track", tracked)

    def whole(self) -> "PersonClone":
        """Return the clone at the root of the repository that the folder is in; raises ``InvalidInput`` outside one."""
        top = self._git("rev-parse", "--show-toplevel", check=False)
        if not top:
            raise InvalidInput(
                f"{self.path} is not in a git repository", hint="Run `git init` and make a first commit."
            )
        if not self._git("rev-parse", "--verify", "--quiet", "HEAD^{commit}", check=False):
            raise InvalidInput(f"{top} has no commit yet", hint="Make a first commit.")
        return PersonClone(Path(top), self.env)

    def add_worktree(self, folder: Path, branch: str, start: str) -> "PersonClone":
        """Check out a new branch at a commit in a new folder beside the clone; raises ``Conflict``, ``Refused``."""
        if folder.exists():
            raise Conflict(f"{folder} exists already", hint=f"Go on there, or delete it: git worktree remove {folder}")
        self._git("worktree", "add", "--quiet", "--no-track", "-b", branch, str(folder), start)
        return PersonClone(folder, self.env)

    def worktrees(self) -> list["PersonClone"]:
        """Return the clone and its worktrees whose folders exist."""
        lines = self._git("worktree", "list", "--porcelain").splitlines()
        folders = [Path(line.removeprefix("worktree ")) for line in lines if line.startswith("worktree ")]
        return [PersonClone(folder, self.env) for folder in folders if folder.is_dir()]

    def private(self, name: str) -> Path:
        """Return the path of a file among git's own: of this checkout alone, or where git shares it, of the clone."""
        return (self.path / self._git("rev-parse", "--git-path", name)).resolve()

    def ignore(self, pattern: str) -> None:
        """Let git ignore what matches, in this clone and its worktrees, without a change of a tracked file."""
        path = self.private("info/exclude")
        known = files.read_text(path).splitlines() if path.exists() else []
        if pattern not in known:
            files.write_atomic(path, "\n".join([*known, pattern, ""]).encode())

    def commit_all(self, message: str) -> list[str]:
        """Commit every change of the checkout as the person; return the paths, if there is any. Raises ``Refused``.

        What an earlier call committed, and nobody pushed, is amended.
        """
        if not self._git("status", "--porcelain"):
            return []
        self._git("add", "--all")
        paths = self._git("diff", "--cached", "--name-only").splitlines()
        again = self._git("log", "-1", "--format=%B") == message.strip()
        pushed = self._git("for-each-ref", "--contains=HEAD", "--format=%(refname)", "refs/remotes/")
        amend = ["--amend"] if again and not pushed else []
        self._git("commit", "--quiet", *amend, "--message", message)
        return paths

    def head(self) -> str:
        """Return the checked-out commit; raises ``Refused`` if there is none."""
        return self._git("rev-parse", "--verify", "HEAD^{commit}")

    def paths(self) -> frozenset[str]:
        """Return the paths of the checked-out commit."""
        return frozenset(filter(None, self._git("ls-tree", "-r", "-z", "--name-only", "HEAD").split("\0")))

    def read(self, path: str) -> bytes:
        """Return a file of the checked-out commit; raises ``ToolFailed``."""
        return process.run(["git", "cat-file", "blob", f"HEAD:{path}"], env=self.env, cwd=self.path).stdout

    def merge_file(self, ours: bytes, base: bytes, theirs: bytes) -> bytes | None:
        """Return a three-way merge of a file (git-merge-file), or ``None`` if it conflicts."""
        with tempfile.TemporaryDirectory(prefix="factory-merge-") as name:
            paths = [Path(name) / side for side in ("ours", "base", "theirs")]
            for path, text in zip(paths, (ours, base, theirs), strict=True):
                files.write_new(path, text)
            argv = ["git", "merge-file", "-p", "--quiet", *map(str, paths)]
            done = process.run(argv, env=self.env, cwd=self.path, check=False)
        return done.stdout if done.returncode == 0 else None

    def matching(self, pattern: "re.Pattern[str]") -> dict[str, bytes]:
        """Return the files of the checked-out commit whose whole path matches, sorted by path."""
        return {path: self.read(path) for path in sorted(self.paths()) if pattern.fullmatch(path)}

    def place(self) -> str:
        """Return what `git switch` takes to come back here: the branch, or the detached commit."""
        return self.current() or f"--detach {self.head()[:12]}"

    def start(self, branch: str, changes: Mapping[str, bytes | None], *, message: str) -> str:
        """Commit changed files (``None`` removes one) on a new branch at the checked-out commit, and switch to it.

        Returns the commit. Raises ``Conflict`` if the branch exists, ``InvalidInput`` if git does not know the person's
        name, ``Refused`` if the checkout has something else at these paths; then nothing has changed.
        """
        ref = f"refs/heads/{branch}"
        if self._git("rev-parse", "--verify", "--quiet", ref, check=False):
            raise Conflict(f"the branch {branch} exists already", hint=f"Use it, or delete it: git branch -D {branch}")
        commit = self._commit(changes, parent=self.head(), message=message)
        self._git("update-ref", ref, commit, "0" * len(commit))
        try:
            self._git("switch", "--quiet", branch)
        except Refused:
            self._git("update-ref", "-d", ref, commit)
            raise
        return commit

    def begin(self, contents: Mapping[str, bytes], *, message: str) -> str:
        """Make a repository of an empty folder, with these files as the one commit of its branch main; return that.

        Raises ``InvalidInput`` if git does not know the person's name, and ``Refused``.
        """
        self._git("init", "--quiet", f"--initial-branch={MAIN}")
        commit = self._commit(contents, parent=None, message=message)
        self._git("reset", "--quiet", "--hard", commit)
        return commit

    def author(self) -> Author:
        """Return whom git names as author; raises ``InvalidInput`` if it would have to guess."""
        found = _IDENTITY.fullmatch(self._git("-c", "user.useConfigOnly=true", "var", "GIT_AUTHOR_IDENT", check=False))
        if found is None:
            raise InvalidInput(
                "git has no user.name or user.email", hint="Set user.name and user.email with `git config --global`."
            )
        return Author(found[1], found[2])

    def _commit(self, changes: Mapping[str, bytes | None], *, parent: str | None, message: str) -> str:
        store = Mirror(Path(self._git("rev-parse", "--absolute-git-dir")), "")
        return store.commit(changes, parent=parent, message=message, author=self.author())

    def _git(self, *arguments: str, check: bool = True) -> str:
        """Return what the person's git prints; with ``check``, raises ``Refused`` with git's reason if it fails."""
        done = process.run(["git", *arguments], env=self.env, cwd=self.path, timeout=_PATIENCE, check=False)
        if done.returncode and check:
            raise Refused(f"git {arguments[0]} failed: {cause(done.errors)}")
        return done.text.strip() if not done.returncode else ""
