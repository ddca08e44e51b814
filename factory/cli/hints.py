"""Names the instance in the commands that a text names, so that they work as they are printed."""

import re

_COMMAND = re.compile(r"`factory (?=[a-z-])(?!--instance )")
_DEFAULT = "default"
_INSTANCE = _DEFAULT


def use(instance: str) -> None:
    """Take an instance as that of the running command."""
    global _INSTANCE  # noqa: PLW0603 - workflows print from threads of their own, where click has no context
    _INSTANCE = instance


def named(text: str) -> str:
    """Return a text with ``--instance NAME`` in each command between backquotes, if the instance is not the default."""
    return text if _INSTANCE == _DEFAULT else _COMMAND.sub(f"`factory --instance {_INSTANCE} ", text)
