"""One answer of a model's provider while it comes: the usage that it tells, or an estimate. Pure.

Reads the shapes that providers stream or send whole: Responses (``response.usage``), Messages (``message.usage`` and
``usage`` of ``message_delta``), Chat Completions (``usage``), Gemini (``usageMetadata``).
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from factory.agents import metering

_LONGEST = 4 * 1024 * 1024
_MARKS = (b'"usage', b'"delta"', b'"input_tokens"')
_MOST_TOKENS = 10**12


class Answer:
    """An answer: whether its request was ``served``, whether it is a ``stream``, the bytes ``sent`` for it.

    ``usage`` is what its provider counted so far; ``free`` tells that there is nothing to count.
    """

    def __init__(self, *, served: bool, stream: bool, sent: int) -> None:
        self.usage: dict[str, int] = {}
        self.free = False
        self._served, self._stream, self._sent = served, stream, sent
        self._rest = bytearray()
        self._received = self._told = 0
        self._final = self._skips = self._ended = False

    def take(self, chunk: bytes) -> None:
        """Read a part of the body; how it was cut into parts makes no difference."""
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
        """Read what is left: a last line, or the whole body."""
        self._ended = True
        rest = self._taken()
        if not self._parse(rest):
            for line in rest.split(b"\n"):  # a stream that is not called one
                self._parse(line)

    @property
    def estimated(self) -> bool:
        """Tell whether what it took is an estimate; a request without a body asks for no work."""
        return self._served and not self._final and not self.free and self._sent > 0 and (self._ended or self._told > 0)

    def spent(self) -> dict[str, int]:
        """Return the tokens that the answer took."""
        if not self.estimated:
            return self.usage
        guess = metering.estimate(self._sent, self._told or (self._received if self._ended else 0))
        given = self.usage.get("input_tokens") or guess["input_tokens"]
        got = max(self.usage.get("output_tokens", 0), guess["output_tokens"])
        return {**self.usage, "input_tokens": given, "output_tokens": got, "total_tokens": given + got}

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
        """Read a line of a stream, or a whole body; tell whether there is nothing more to be read of it."""
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

    def _read(self, value: Mapping[str, Any]) -> None:
        """Take what one event, or a whole body, tells; a later figure replaces an earlier one."""
        self._told += _length(value.get("delta")) + sum(_length(item.get("delta")) for item in _each(value, "choices"))
        # Counting tokens is free, and its whole answer is the count.
        self.free = self.free or (not self._stream and isinstance(value.get("input_tokens"), int))
        for holder in (value, value.get("response"), value.get("message")):
            found = (holder.get("usage") or holder.get("usageMetadata")) if isinstance(holder, dict) else None
            if isinstance(found, dict):
                self.usage |= _normal(found, self.usage)
                self._final = self._final or holder is not value.get("message")


def _each(value: Mapping[str, Any], name: str) -> Iterator[Mapping[str, Any]]:
    found = value.get(name)
    yield from (item for item in found if isinstance(item, dict)) if isinstance(found, list) else ()


def _length(value: Any) -> int:
    """Return how many characters of text a value holds."""
    waiting, length = [value], 0
    while waiting:
        one = waiting.pop()
        if isinstance(one, str):
            length += len(one)
        elif isinstance(one, dict | list):
            waiting += one.values() if isinstance(one, dict) else one
    return length


def _normal(found: Mapping[str, Any], before: Mapping[str, int]) -> dict[str, int]:
    """Return a usage in our names; what Messages counts apart (cached input) becomes part of the input."""
    cached = _number(found, "cache_read_input_tokens") + _number(found, "cachedContentTokenCount")
    apart = _number(found, "cache_read_input_tokens") + _number(found, "cache_creation_input_tokens")
    details = found.get("input_tokens_details") or found.get("prompt_tokens_details")
    if isinstance(details, dict):
        cached = _number(details, "cached_tokens")
    given = sum(_number(found, name) for name in ("input_tokens", "prompt_tokens", "promptTokenCount")) + apart
    got = sum(_number(found, name) for name in ("output_tokens", "completion_tokens", "candidatesTokenCount"))
    got += _number(found, "thoughtsTokenCount")
    made = {
        "input_tokens": given or before.get("input_tokens", 0),
        "cached_read_tokens": cached or before.get("cached_read_tokens", 0),
        "output_tokens": got or before.get("output_tokens", 0),
    }
    return {**made, "total_tokens": made["input_tokens"] + made["output_tokens"]}


def _number(found: Mapping[str, Any], name: str) -> int:
    value = found.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _MOST_TOKENS else 0
