"""Runs git commands in a bare repository on the server's disk."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from factory.errors import ToolFailed
from factory.system import files, process

EMPTY_TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
_COMMITS: dict[tuple[Path, str], dict[str, Any]] = {}
_TAG_FORMAT = "%(refname)%00%(objecttype)%00%(objectname)%00%(taggerdate:iso-strict)%00%(contents)%00%01"
_COMMIT_FORMAT = "%H%x00%P%x00%an%x00%ae%x00%aI%x00%cn%x00%ce%x00%cI%x00%B%x00%x01"


@dataclass(frozen=True)
class Tag:
    """A tag; ``target`` is the object that the ref names, ``commit`` the commit that it peels to, if any.

    Only an annotated tag has ``message`` and ``created_at``.
    """

    name: str
    target: str
    commit: str | None
    message: str | None
    created_at: str | None


@dataclass(frozen=True)
class Repository:
    """One bare repository; ``env`` is git's complete environment."""

    path: Path
    env: Mapping[str, str]

    def git(self, *arguments: str, stdin: bytes = b"", env: Mapping[str, str] | None = None) -> str:
        """Run a git command and return its output without the last newline; raises ``ToolFailed``."""
        done = process.run(["git", *arguments], cwd=self.path, env={**self.env, **(env or {})}, stdin=stdin)
        return done.text.rstrip("\n")

    def create(self, default_branch: str) -> None:
        """Create the repository on disk, replacing any remains of a project creation that a crash interrupted."""
        if self.path.exists():
            files.remove_tree(self.path)
        self.path.mkdir(parents=True)
        self.git("init", "--bare", "--quiet", f"--initial-branch={default_branch}")
        for key, value in {
            "http.receivepack": "true",
            "uploadpack.allowAnySHA1InWant": "true",
            "receive.denyDeletes": "false",
            "gc.auto": "0",
            "receive.autogc": "false",
        }.items():
            self.git("config", key, value)

    def resolve(self, name: str) -> str | None:
        """Return the commit SHA that a branch, tag or SHA names."""
        for candidate in (f"refs/heads/{name}", f"refs/tags/{name}", name):
            sha = self.peel(candidate)
            if sha:
                return sha
        return None

    def peel(self, revision: str) -> str | None:
        """Return the commit that a revision peels to, or ``None``."""
        if "\0" in revision:
            return None
        argv = ["git", "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}"]
        done = process.run(argv, cwd=self.path, env=self.env, check=False)
        return done.text.strip() if done.returncode == 0 else None

    def branches(self) -> dict[str, str]:
        """Return every branch and its commit."""
        lines = self.git("for-each-ref", "--format=%(refname)%00%(objectname)", "refs/heads").splitlines()
        pairs = (line.split("\0") for line in lines)
        return {name.removeprefix("refs/heads/"): sha for name, sha in pairs}

    def heads(self) -> tuple[dict[str, str], dict[str, str]]:
        """Return all branches and tags, each with its commit; tags of other objects are left out."""
        form = "--format=%(refname)%00%(objecttype)%00%(objectname)%00%(*objecttype)%00%(*objectname)"
        branches, tags = {}, {}
        for line in self.git("for-each-ref", form, "refs/heads", "refs/tags").splitlines():
            ref, kind, sha, inner, below = line.split("\0")
            if ref.startswith("refs/heads/"):
                branches[ref.removeprefix("refs/heads/")] = sha
            elif "commit" in {kind, inner}:
                tags[ref.removeprefix("refs/tags/")] = sha if kind == "commit" else below
        return branches, tags

    def tags(self, name: str = "", *, order: str = "-creatordate") -> list[Tag]:
        """Return the tag with this name, or all tags; ``order`` is a sort key of ``git for-each-ref``."""
        text = self.git("for-each-ref", f"--sort={order}", f"--format={_TAG_FORMAT}", f"refs/tags/{name}")
        found = [self._tag(record.lstrip("\n")) for record in text.split("\0\x01") if record.strip()]
        # For a name that is a folder, git also lists the tags inside the folder.
        return [tag for tag in found if not name or tag.name == name]

    def _tag(self, record: str) -> Tag:
        ref, kind, target, created, message = record.split("\0")
        own = kind == "tag"
        commit = target if kind == "commit" else self.peel(target)
        return Tag(ref.removeprefix("refs/tags/"), target, commit, message if own else None, created if own else None)

    def set_tag(self, name: str, target: str, *, message: str = "", tagger: tuple[str, str] = ("", "")) -> None:
        """Create a tag, annotated if it has a message; raises ``ToolFailed`` if git refuses or the tag exists."""
        if not message:
            self.git("update-ref", f"refs/tags/{name}", target, "0" * 40)
            return
        who = {"GIT_COMMITTER_NAME": tagger[0], "GIT_COMMITTER_EMAIL": tagger[1]}
        options = ("--annotate", "--cleanup=whitespace", "--file=-")
        self.git("tag", *options, "--end-of-options", name, target, stdin=message.encode(), env=who)

    def commits(self, *revisions: str, limit: int = 1000, path: str = "") -> list[dict[str, Any]]:
        """Return the commits of ``git log`` for revisions and options, newest first, in GitLab's format.

        ``path`` keeps only commits that change a file or folder.
        """
        paths = [f":(literal){path}"] if path else []
        text = self.git("log", f"--max-count={limit}", f"--format={_COMMIT_FORMAT}", *revisions, "--", *paths)
        return [_commit(record.lstrip("\n")) for record in text.split("\0\x01") if record.strip()]

    def count(self, *revisions: str) -> int:
        """Return the number of commits that ``git rev-list`` counts for the revisions."""
        return int(self.git("rev-list", "--count", *revisions, "--"))

    def one(self, sha: str) -> dict[str, Any]:
        """Return a commit by its full SHA; commits never change, so the result is cached."""
        key = (self.path, sha)
        if key not in _COMMITS:
            _COMMITS[key] = self.commits("-1", sha)[0]
        return dict(_COMMITS[key])

    def diff(self, base: str, head: str) -> list[dict[str, Any]]:
        """Return the files that changed from ``base`` to ``head``, each with its hunks."""
        raw = self.git("diff", "--raw", "-z", "--find-renames", "--abbrev=40", base, head).split("\0")
        found = []
        position = 0
        while position < len(raw) and raw[position]:
            old_mode, new_mode, _, _, status = raw[position].lstrip(":").split(" ")
            moved = status[0] in "RC"
            old, new = raw[position + 1], raw[position + (2 if moved else 1)]
            position += 3 if moved else 2
            text = self.git("diff", "--find-renames", base, head, "--", *({old, new}))
            start = text.find("\n@@")
            found.append(
                {
                    "old_path": old,
                    "new_path": new,
                    "a_mode": old_mode,
                    "b_mode": new_mode,
                    "diff": text[start + 1 :] + "\n" if start >= 0 else "",
                    "new_file": status[0] == "A",
                    "renamed_file": status[0] == "R",
                    "deleted_file": status[0] == "D",
                    "generated_file": False,
                }
            )
        return found

    def merge_base(self, one: str, other: str) -> str | None:
        """Return the best common ancestor, or ``None``."""
        done = process.run(["git", "merge-base", one, other], cwd=self.path, env=self.env, check=False)
        return done.text.strip() or None

    def is_ancestor(self, older: str, newer: str) -> bool:
        """Return whether ``newer`` contains ``older``."""
        argv = ["git", "merge-base", "--is-ancestor", older, newer]
        return process.run(argv, cwd=self.path, env=self.env, check=False).returncode == 0

    def read(self, revision: str, path: str) -> bytes | None:
        """Return a file's content at a revision, or ``None`` if the file does not exist."""
        done = process.run(["git", "cat-file", "blob", f"{revision}:{path}"], cwd=self.path, env=self.env, check=False)
        return done.stdout if done.returncode == 0 else None

    def blame(self, revision: str, path: str) -> list[tuple[str, str]]:
        """Return a file's lines, each after the commit that last changed it (git docs: git-blame, porcelain)."""
        found, sha = [], ""
        for line in self.git("blame", "--line-porcelain", revision, "--", path).split("\n"):
            if line.startswith("\t"):
                found.append((sha, line[1:]))
                sha = ""
            elif not sha:
                sha = line.split(" ", 1)[0]
        return found

    def tree(self, revision: str, path: str, *, recursive: bool) -> list[dict[str, str]]:
        """Return the entries of a folder at a revision; raises ``ToolFailed`` if the folder does not exist."""
        options = ["-r", "-t"] if recursive else []
        where = f"{revision}:{path}" if path else revision
        lines = self.git("ls-tree", "-z", *options, where).split("\0")
        found = []
        for line in filter(None, lines):
            meta, name = line.split("\t", 1)
            mode, kind, sha = meta.split(" ")
            full = f"{path}/{name}" if path else name
            found.append({"id": sha, "name": name.rsplit("/", 1)[-1], "type": kind, "path": full, "mode": mode})
        return found

    def merged_tree(self, ours: str, theirs: str) -> str | None:
        """Return the tree that merging two commits gives, or ``None`` if they conflict (git-merge-tree(1))."""
        try:
            return self.git("merge-tree", "--write-tree", ours, theirs)
        except ToolFailed:
            return None

    def set_branch(self, name: str, new: str, old: str | None) -> bool:
        """Move a branch from ``old`` (``None``: it must not exist) to ``new``; false if it is no longer at ``old``."""
        if not new:  # update-ref would delete the branch
            raise ToolFailed("git wrote no commit")
        try:
            self.git("update-ref", f"refs/heads/{name}", new, old or "0" * 40)
        except ToolFailed:
            return False
        return True

    def commit(self, changes: Sequence[Mapping[str, Any]], *, parent: str | None, message: str, author: str) -> str:
        """Write a commit with the changes (``path`` and ``content``, or ``None`` to delete); return its SHA."""
        index = {"GIT_INDEX_FILE": str(self.path / "factory-index")}
        Path(index["GIT_INDEX_FILE"]).unlink(missing_ok=True)
        if parent:
            self.git("read-tree", parent, env=index)
        for change in changes:
            if change["content"] is None:
                removal = f"0 {'0' * 40}\t{change['path']}\0".encode()
                self.git("update-index", "-z", "--index-info", stdin=removal, env=index)
            else:
                blob = self.git("hash-object", "-w", "--stdin", stdin=change["content"])
                mode = change.get("mode", "100644")
                self.git("update-index", "--add", "--cacheinfo", f"{mode},{blob},{change['path']}", env=index)
        tree = self.git("write-tree", env=index)
        name, email = author.split("\0")
        who = {
            "GIT_AUTHOR_NAME": name,
            "GIT_AUTHOR_EMAIL": email,
            "GIT_COMMITTER_NAME": name,
            "GIT_COMMITTER_EMAIL": email,
        }
        parents = ["-p", parent] if parent else []
        return self.git("commit-tree", tree, *parents, stdin=message.encode(), env=who)


def _commit(record: str) -> dict[str, Any]:
    sha, parents, name, email, authored, committer, committer_email, committed, message, *_ = record.split("\0")
    return {
        "id": sha,
        "short_id": sha[:8],
        "parent_ids": parents.split(),
        "title": message.strip().splitlines()[0] if message.strip() else "",
        "message": message,
        "author_name": name,
        "author_email": email,
        "authored_date": authored,
        "committer_name": committer,
        "committer_email": committer_email,
        "committed_date": committed,
        "created_at": committed,
        "trailers": _trailers(message),
    }


def _trailers(message: str) -> dict[str, str]:
    last = message.strip().split("\n\n")[-1].splitlines()
    pairs = [line.split(": ", 1) for line in last if ": " in line]
    return {key: value for key, value in pairs if key.replace("-", "").isalpha()} if len(pairs) == len(last) else {}
