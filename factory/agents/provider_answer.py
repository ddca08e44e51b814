"""Reads the usage from one answer of a model's provider while it arrives, or estimates the usage. Pure.

Supports streamed and whole answers of these APIs: Responses (``response.usage``), Messages (``message.usage`` and
``usage`` of ``message_delta``), Chat Completions (``usage``), Gemini (``usageMetadata``).
"""

import json
from collections.abc import Iterator, Mapping

from factory.agents import token_costs

_LONGEST = 4 * 1024 * 1024
_MARKS = (b'"usage', b'"delta"', b'"input_tokens"')
_MOST_TOKENS = 10**12


class Answer:
    """An answer: whether its request was ``served``, whether it is a ``stream``, the bytes ``sent`` in the request.

    ``usage`` is the provider's count so far; ``free`` tells that the request costs no tokens.
    """

    def __init__(self, *, served: bool, stream: bool, sent: int) -> None:
        self.usage: dict[str, int] = {}
        self.free = False
        self._served, self._stream, self._sent = served, stream, sent
        self._rest = bytearray()
        self._received = self._text = 0
        self._final = self._skips = self._ended = False

    def take(self, chunk: bytes) -> None:
        """Read the next part of the body; parts may end anywhere."""
        self._received += len(chunk)
        if not self._stream:
            self._keep(chunk)
            return
        first, *more = chunk.split(b"\n")
        self._keep(first)
        for part in more:
            self._parse(self._taken())
            self._keep(part)

    def end(self) -> None:
        """Read the rest: the last line of a stream, or the whole body."""
        self._ended = True
        rest = self._taken()
        if not self._parse(rest):
            for line in rest.split(b"\n"):  # a stream without the content type of a stream
                self._parse(line)

    @property
    def estimated(self) -> bool:
        """Tell whether the usage is an estimate; a request without a body uses no tokens."""
        return self._served and not self._final and not self.free and self._sent > 0 and (self._ended or self._text > 0)

    def spent(self) -> dict[str, int]:
        """Return the tokens of the request and its answer."""
        if not self.estimated:
            return self.usage
        guess = token_costs.estimate(self._sent, self._text or (self._received if self._ended else 0))
        inputs = self.usage.get("input_tokens") or guess["input_tokens"]
        outputs = max(self.usage.get("output_tokens", 0), guess["output_tokens"])
        return {**self.usage, "input_tokens": inputs, "output_tokens": outputs, "total_tokens": inputs + outputs}

    def _keep(self, part: bytes) -> None:
        self._skips = self._skips or len(self._rest) + len(part) > _LONGEST
        if self._skips:
            self._rest.clear()
        else:
            self._rest += part

    def _taken(self) -> bytes:
        taken = bytes(self._rest)
        self._rest.clear()
        self._skips = False
        return taken

    def _parse(self, line: bytes) -> bool:
        """Read a line of a stream, or a whole body; return false if it is not JSON."""
        text = line.strip().removeprefix(b"data:").strip()
        if not any(mark in text for mark in _MARKS):
            return True
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            return False
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, dict):
                self._read(one)
        return True

    def _read(self, value: Mapping[str, object]) -> None:
        """Read the usage in one event or a whole body; a later count replaces an earlier one."""
        self._text += _length(value.get("delta")) + sum(_length(item.get("delta")) for item in _each(value, "choices"))
        # A request that only counts tokens is free; its whole answer is the count.
        self.free = self.free or (not self._stream and isinstance(value.get("input_tokens"), int))
        for holder in (value, value.get("response"), value.get("message")):
            found = (holder.get("usage") or holder.get("usageMetadata")) if isinstance(holder, dict) else None
            if isinstance(found, dict):
                self.usage |= _normal(found, self.usage)
                self._final = self._final or holder is not value.get("message")


def _each(value: Mapping[str, object], name: str) -> Iterator[Mapping[str, object]]:
    found = value.get(name)
    yield from (item for item in found if isinstance(item, dict)) if isinstance(found, list) else ()


def _length(value: object) -> int:
    """Return the number of characters of all texts in a value."""
    waiting, length = [value], 0
    while waiting:
        one = waiting.pop()
        if isinstance(one, str):
            length += len(one)
        elif isinstance(one, dict | list):
            waiting += one.values() if isinstance(one, dict) else one
    return length


def _normal(found: Mapping[str, object], before: Mapping[str, int]) -> dict[str, int]:
    """Return a usage under the names of ``token_costs``; input includes cached tokens (Messages counts them apart).

    Gemini counts the tokens of tools' results apart too.
    """
    cached = _number(found, "cache_read_input_tokens") + _number(found, "cachedContentTokenCount")
    apart = _number(found, "cache_read_input_tokens") + _number(found, "cache_creation_input_tokens")
    details = found.get("input_tokens_details") or found.get("prompt_tokens_details")
    if isinstance(details, dict):
        cached = _number(details, "cached_tokens")
    names = ("input_tokens", "prompt_tokens", "promptTokenCount", "toolUsePromptTokenCount")
    inputs = sum(_number(found, name) for name in names) + apart
    outputs = sum(_number(found, name) for name in ("output_tokens", "completion_tokens", "candidatesTokenCount"))
    outputs += _number(found, "thoughtsTokenCount")
    usage = {
        "input_tokens": inputs or before.get("input_tokens", 0),
        "cached_read_tokens": cached or before.get("cached_read_tokens", 0),
        "output_tokens": outputs or before.get("output_tokens", 0),
        **_written(found, before),
    }
    return {**usage, "total_tokens": usage["input_tokens"] + usage["output_tokens"]}


def _written(found: Mapping[str, object], before: Mapping[str, int]) -> dict[str, int]:
    """Return what was written to the provider's cache, and what of it for an hour; nothing if it never was."""
    parts = found.get("cache_creation")
    hour = _number(parts, "ephemeral_1h_input_tokens") if isinstance(parts, dict) else 0
    now = {"cached_write_tokens": _number(found, "cache_creation_input_tokens"), "cached_hour_write_tokens": hour}
    return {name: count or before.get(name, 0) for name, count in now.items() if count or before.get(name)}


def _number(found: Mapping[str, object], name: str) -> int:
    value = found.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _MOST_TOKENS else 0
