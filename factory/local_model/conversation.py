"""Represents a request to the stub, and selects the offered tool for a step of the script."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from factory.local_model.script import Act, Call, Run, Write


@dataclass(frozen=True)
class Tool:
    """A tool that the agent offers; a ``freeform`` tool takes a text instead of named arguments."""

    name: str
    arguments: Mapping[str, Any]
    freeform: bool = False
    namespace: str = ""


@dataclass(frozen=True)
class Conversation:
    """A parsed request: the last prompt, the number of prompts, and the number of tool results since the last one."""

    model: str
    stream: bool
    prompt: str
    prompts: int
    results: int
    tools: tuple[Tool, ...]

    @property
    def call_id(self) -> str:
        """Return an id for the next tool call that is unique in this conversation."""
        return f"call_{self.prompts}_{self.results}"


@dataclass(frozen=True)
class ToolCall:
    """A call of an offered tool; ``value`` is a mapping, or a text for a freeform tool."""

    tool: Tool
    value: Mapping[str, Any] | str

    @property
    def text(self) -> str:
        """Return the arguments in their wire form."""
        return self.value if isinstance(self.value, str) else json.dumps(self.value)


def tool_call(act: Act, tools: Sequence[Tool]) -> ToolCall | None:
    """Return the tool call that performs ``act``, or ``None`` if the agent offers no tool for it."""
    if isinstance(act, Call):
        named = next((tool for tool in tools if _full(tool) == act.tool), None)
        named = named or next((tool for tool in tools if _full(tool).endswith(act.tool)), None)
        return ToolCall(named, act.arguments) if named else None
    candidates = _RUNS if isinstance(act, Run) else _WRITES
    for name, arguments in candidates.items():
        for tool in tools:
            if tool.name == name:
                return ToolCall(tool, arguments(act, tool))
    if isinstance(act, Write):
        return tool_call(Run(_write_command(act)), tools)
    return None


def _full(tool: Tool) -> str:
    return f"{tool.namespace}{tool.name}"


def _write_command(act: Write) -> str:
    lines = act.content if act.content.endswith("\n") else act.content + "\n"
    return f"mkdir -p \"$(dirname '{act.path}')\" && cat > '{act.path}' <<'END_OF_FILE'\n{lines}END_OF_FILE"


def _shell(act: Any, tool: Tool) -> Mapping[str, Any]:
    as_list = tool.arguments.get("command", {}).get("type") == "array"
    return {"command": ["sh", "-c", act.command] if as_list else act.command}


def _described(act: Any, _tool: Tool) -> Mapping[str, Any]:
    return {"command": act.command, "description": "Runs a command of the script"}


def _patch(act: Any, tool: Tool) -> Mapping[str, Any] | str:
    added = "".join(f"+{line}\n" for line in act.content.splitlines())
    patch = f"*** Begin Patch\n*** Add File: {act.path}\n{added}*** End Patch\n"
    return patch if tool.freeform else {"input": patch}


Arguments = Callable[[Any, Tool], Mapping[str, Any] | str]

_RUNS: dict[str, Arguments] = {
    "exec_command": lambda act, _: {"cmd": act.command},  # Codex
    "shell_command": _shell,
    "shell": _shell,
    "bash": _described,  # opencode
    "Bash": _described,  # Claude Code
    "run_shell_command": _described,  # Gemini CLI
}
_WRITES: dict[str, Arguments] = {
    "apply_patch": _patch,  # Codex
    "write": lambda act, _: {"filePath": act.path, "content": act.content},  # opencode
    "Write": lambda act, _: {"file_path": act.path, "content": act.content},  # Claude Code
    "write_file": lambda act, _: {"file_path": act.path, "content": act.content},  # Gemini CLI
}
