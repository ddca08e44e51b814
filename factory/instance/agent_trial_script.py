"""The briefs of an agent's trial, and the answers of the stub model and the replay agent to them. Pure."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from factory.local_model.script import Call, Hang, Run, Say, Step, Write

FILE, CONTENT = "doctor.txt", "looked at\n"
_TITLE = "Write a file for the doctor"
_SILENCE_SECONDS = 60.0
WORD = "xylophone"
# The replay agent finds its recording by these first lines.
WORK = f"Spec: doctor\nAttempt: 1\n\n{_TITLE}. The word is {WORD}."
AGAIN = "Which word was it?"
WAIT = "Wait until you are told to stop."
# A file edit in the answer's text, for agents without tools, such as aider.
_AS_TEXT = f"{FILE}\n```\n<<<<<<< SEARCH\n=======\n{CONTENT}>>>>>>> REPLACE\n```\n"
_PATCH = f"diff --git a/{FILE} b/{FILE}\nnew file mode 100644\n--- /dev/null\n+++ b/{FILE}\n@@ -0,0 +1 @@\n+{CONTENT}"


def steps(scratch: Path) -> Mapping[str, Sequence[Step]]:
    """Return the model's steps for each prompt; its findings go to ``scratch``, outside the worktree."""
    look = f"env > {scratch}/seen; cat /proc/*/environ >> {scratch}/seen 2>/dev/null; echo > {scratch}/ran"
    stay = "(setsid sleep 300 >/dev/null 2>&1 &)"
    work = (
        Say(_AS_TEXT),
        Write(FILE, CONTENT),
        Run(f"{look}; {stay}"),
        Run(f"rm -rf {FILE}.orig"),  # some agents ask for permission only before destructive commands
        Call("done", {"why": "the file is written"}),
        Say("Done."),
    )
    return {WORK: work, AGAIN: (Say("I remember."),), WAIT: (Hang(_SILENCE_SECONDS), Say("never"))}


def spoken(steps_of: Mapping[str, Sequence[Step]], prompt: str) -> Sequence[Step]:
    """Return the steps of the brief that the prompt contains; by default those of ``WORK``."""
    return next((found for brief, found in steps_of.items() if brief in prompt), steps_of[WORK])


def recording() -> bytes:
    """Return the replay agent's recording for ``WORK``."""
    turn = {"say": "I write the file.", "patch": _PATCH, "usage": {"input": 100, "output": 10}}
    return json.dumps({"spec": "doctor", "title": _TITLE, "attempts": [{"turns": [turn]}]}).encode()
