"""Removes secrets from an agent's events, even if a secret is split over several events. Pure.

A model's text arrives in pieces of a few letters, so a secret is recognised only after the pieces are joined. A piece
is therefore buffered until its word has ended.
"""

import json
import re
from collections.abc import Mapping, Sequence
from urllib.parse import quote

from factory.checks.secret_shapes import SHAPES

_REDACTED = "[redacted {name}]"
_PRIVATE_KEY = re.compile(
    r"-----BEGIN (?:[A-Z]{1,20} ){0,4}PRIVATE KEY-----.*?(?:-----END (?:[A-Z]{1,20} ){0,4}PRIVATE KEY-----|\Z)",
    re.DOTALL,
)
_DEEPEST = 100
_STREAMS = frozenset({"message", "thought", "screen"})
# Events that other parts of the factory record between an agent's pieces of text.
_UNBUFFERED = frozenset({"network", "usage", "update"})
_MOST_PIECES, _LONGEST_WORD = 400, 4000
Event = Mapping[str, object]


def redact(text: str, secrets: Sequence[str]) -> str:
    """Replace the given secrets in a text, plain or escaped, and everything that has the shape of a secret."""
    for form in sorted({form for secret in secrets if secret for form in _forms(secret)}, key=len, reverse=True):
        text = text.replace(form, _REDACTED.format(name="credential"))
    text = _PRIVATE_KEY.sub(_REDACTED.format(name="private-key"), text)
    for name, shape in SHAPES:
        if name != "private-key":
            text = shape.sub(_REDACTED.format(name=name), text)
    return text


def clean(value: object, secrets: Sequence[str], depth: int = 0) -> object:
    """Redact every string in a JSON value, keys included; a value that is nested too deeply is replaced."""
    if isinstance(value, str):
        return redact(value, secrets)
    if depth > _DEEPEST:
        return "[nested too deeply]"
    if isinstance(value, Mapping):
        return {redact(str(key), secrets): clean(item, secrets, depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [clean(item, secrets, depth + 1) for item in value]
    return value


class Stream:
    """Redacts the events of one transcript, and buffers those that may contain part of a secret."""

    def __init__(self, secrets: Sequence[str]) -> None:
        self._secrets = secrets
        self._held: list[Event] = []

    def pass_on(self, event: Event) -> list[Event]:
        """Add an event, and return the redacted events that can be written now."""
        if event.get("event") in _UNBUFFERED:
            return [self._clean(event)]
        text = event.get("text")
        if event.get("event") not in _STREAMS or not isinstance(text, str):
            return [*self.let_go(), self._clean(event)]
        ready = self.let_go() if self._held and self._held[0]["event"] != event["event"] else []
        self._held.append(event)
        if re.search(r"\s", text):
            # The words before the last space have ended; the text after it may continue.
            *before, last = self._joined()
            self._held = [] if text[-1:].isspace() else [last]
            return [*ready, *(self._clean(item) for item in (before if self._held else [*before, last]))]
        if len(self._held) > _MOST_PIECES or sum(len(_text(item)) for item in self._held) > _LONGEST_WORD:
            return [*ready, *self.let_go()]
        return ready

    def let_go(self) -> list[Event]:
        """Return the buffered events, redacted."""
        found = self._joined() if self._held else []
        self._held = []
        return [self._clean(item) for item in found]

    def _joined(self) -> list[Event]:
        """Return the buffered pieces; joined into one event without its raw form if they contain a secret together."""
        whole = "".join(_text(item) for item in self._held)
        if redact(whole, self._secrets) == "".join(redact(_text(item), self._secrets) for item in self._held):
            return list(self._held)
        first = {name: item for name, item in self._held[0].items() if name != "raw"}
        return [{**first, "text": redact(whole, self._secrets)}]

    def _clean(self, event: Event) -> Event:
        return {redact(name, self._secrets): clean(item, self._secrets, 1) for name, item in event.items()}


def _text(event: Event) -> str:
    return str(event["text"])


def _forms(secret: str) -> set[str]:
    escaped = {json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]}
    return {secret, *escaped, quote(secret, safe="", errors="replace"), *(json.dumps(form)[1:-1] for form in escaped)}
