"""A recording is made of what is kept of a session; a secret, a lost commit or a lost lease refuses it."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from factory.agents import outputs, recording
from factory.agents.outputs import compose
from factory.agents.recording import Recording, Tokens
from factory.errors import NotFound, Refused
from factory.evals import recording as session_recording
from factory.model.agent import Reason
from factory.model.attempt import AgentRef, AttemptResult
from factory.model.issue import FrozenIssue
from factory.workflow.claim import lease
from factory.workflow.claim.lease import Lease
from factory.workflow.session import handover, launch_plan, results, transcript
from factory.workflow.session.handover import Handover
from factory.worktrees.repository import Author, Mirror
from tests.servers import git

AUTHOR = Author("factory-bot", "factory-bot@localhost")
AGENT = AgentRef("codex", "codex-acp 2", None, "sha256:1")
TOKEN = "glpat-" + "A1b2C3d4E5f6G7h8I9j0"


@dataclass(frozen=True)
class Kept:
    """A session's folder, and the mirror that its commits are in."""

    mirror: Mirror
    folder: Path
    base: str

    def commit(self, parent: str, **files: str) -> str:
        changes = {name: text.encode() for name, text in files.items()}
        return self.mirror.commit(changes, parent=parent, message="x\n", author=AUTHOR)

    def attempt(self, number: int, head: str | None, *says: str) -> None:
        folder = self.folder / f"attempt-{number}"
        with transcript.recording(folder, ()) as record:
            for text in says:
                record({"event": "message", "text": text})
        (folder / "brief.md").write_text("Attempt: 1\nIssue: #7\nSpec: hello\n")
        usage = {"input_tokens": 10, "output_tokens": 2, "total_tokens": 12}
        results.write(folder, AttemptResult(number, self.base, head, Reason.DONE_FOR_REVIEW, "", AGENT, usage=usage))

    def record(self, *secrets: str) -> Recording:
        made = session_recording.make(self.mirror, self.folder, "abc", secrets=secrets)
        assert recording.read(made.encode(), source="made") == made
        return made


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    origin = tmp_path / "origin.git"
    git("init", "-q", "--bare", "-b", "main", str(origin), cwd=tmp_path)
    mirror = Mirror(tmp_path / "mirror.git", str(origin))
    mirror.ensure()
    for session in ("abc", "later"):  # the chain goes on with a later session of the issue
        frozen = FrozenIssue(7, f"Greet {session}", "text", "ann", "maintainer", "hello", ())
        head = lease.read(mirror, 7)
        held = Lease(7, session, "m/0", "2026-01-01", 1, commit=head[0].commit if head else "")
        lease.write(mirror, held, frozen, author=AUTHOR, token="")
    base = mirror.commit({"x": b"one\n"}, parent=None, message="start\n", author=AUTHOR)
    return Kept(mirror, tmp_path / "session", base)


def test_attempts_become_turns_patches_and_requests(kept: Kept) -> None:
    kept.attempt(1, None, "I ", "look.")
    kept.attempt(2, kept.commit(kept.base, x="two\n", y="new\n"), "Done.")
    put_aside = kept.folder / "attempt-1-ended-1"
    put_aside.mkdir()
    (put_aside / "turn.json").write_text("{}")
    asked = launch_plan.outputs_file(kept.folder / "attempt-2")
    outputs.append(asked, compose("comment", {"text": f"the token {TOKEN}"}, why="so"))
    made = kept.record()
    assert (made.spec, made.title, made.session) == ("hello", "Greet abc", "abc")
    first, second = made.attempts
    assert (first.turns[0].say, first.turns[0].patch) == ("I look.", "")
    assert recording.paths(second.turns[0].patch) == ["x", "y"]
    assert second.turns[0].usage == Tokens(10, 2)
    assert second.outputs[0].said() == {"text": "the token [redacted gitlab-token]"}
    assert second.base == kept.base


def test_what_a_person_committed_follows_the_attempt(kept: Kept) -> None:
    head = kept.commit(kept.base, x="two\n")
    after = kept.commit(head, x="three\n")
    kept.attempt(1, head, "Done.")
    handover.keep(kept.folder, Handover(0, 1, "ann", head, after, 1, 1, 1, ""))
    turns = kept.record().attempts[0].turns
    assert [("+two" in turn.patch, "+three" in turn.patch) for turn in turns] == [(True, False), (False, True)]


def test_a_patch_with_a_secret_is_refused_and_not_repeated(kept: Kept) -> None:
    kept.attempt(1, kept.commit(kept.base, x=f"{TOKEN}\n"))
    with pytest.raises(Refused, match="gitlab-token") as caught:
        kept.record()
    assert TOKEN not in str(caught.value)
    kept.attempt(1, kept.commit(kept.base, x="plain-credential\n"), "it is plain-credential")
    with pytest.raises(Refused, match="a credential of this factory"):
        kept.record("plain-credential")


def test_a_known_credential_is_left_out_of_what_was_said(kept: Kept) -> None:
    kept.attempt(1, None, "it is plain-credential")
    assert kept.record("plain-credential").attempts[0].turns[0].say == "it is [redacted credential]"


def test_what_is_not_kept_any_more_is_said(kept: Kept) -> None:
    kept.attempt(1, "1" * 40)
    with pytest.raises(NotFound, match="is no longer in the mirror"):
        kept.record()
    kept.attempt(3, None)
    with pytest.raises(NotFound, match="are missing here"):
        kept.record()
