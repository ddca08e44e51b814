"""What the stub model says in a trial, what the replay agent plays in one, and the briefs that ask for it. Pure."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from factory.local_model.script import Call, Hang, Run, Say, Step, Write

FILE, CONTENT = "doctor.txt", "looked at\n"
_TITLE = "Write a file for the doctor"
_SILENCE_SECONDS = 60.0
WORD = "xylophone"
# The head is what the replay agent knows its recording by.
WORK = f"Spec: doctor\nAttempt: 1\n\n{_TITLE}. The word is {WORD}."
AGAIN = "Which word was it?"
WAIT = "Wait until you are told to stop."
# How agents without tools write a file: in the answer's text, as aider reads it.
_AS_TEXT = f"{FILE}\n```\n<<<<<<< SEARCH\n=======\n{CONTENT}>>>>>>> REPLACE\n```\n"
_PATCH = f"diff --git a/{FILE} b/{FILE}\nnew file mode 100644\n--- /dev/null\n+++ b/{FILE}\n@@ -0,0 +1 @@\n+{CONTENT}"


def steps(scratch: Path) -> Mapping[str, Sequence[Step]]:
    """Return what the model does at each prompt; what it looks at it keeps outside the worktree."""
    look = f"env > {scratch}/seen; cat /proc/*/environ >> {scratch}/seen 2>/dev/null; echo > {scratch}/ran"
    stay = "(setsid sleep 300 >/dev/null 2>&1 &)"
    work = (
        Say(_AS_TEXT),
        Write(FILE, CONTENT),
        Run(f"{look}; {stay}"),
        Run(f"rm -rf {FILE}.orig"),  # some agents ask for what destroys, and for nothing else
        Call("done", {"why": "the file is written"}),
        Say("Done."),
    )
    return {WORK: work, AGAIN: (Say("I remember."),), WAIT: (Hang(_SILENCE_SECONDS), Say("never"))}


def spoken(asked: Mapping[str, Sequence[Step]], prompt: str) -> Sequence[Step]:
    """Return what is said to a prompt, in which an agent may have wrapped the brief; the work is what is usual."""
    return next((found for brief, found in asked.items() if brief in prompt), asked[WORK])


def recording() -> bytes:
    """Return what the replay agent plays for the work."""
    turn = {"say": "I write the file.", "patch": _PATCH, "usage": {"input": 100, "output": 10}}
    return json.dumps({"spec": "doctor", "title": _TITLE, "attempts": [{"turns": [turn]}]}).encode()
