"""What a change of ``policies/trust.yml`` must keep: the keys that signed what is recorded."""

from collections.abc import Iterator

from factory.policies.model import TrustRoot

PATH = "policies/trust.yml"
_STRICTEST = ("apart", "two accounts", "none")


def lost(before: TrustRoot | None, after: TrustRoot | None) -> Iterator[str]:
    """Yield what a change of the trust root loses of its past: a key, its part of the log, or the log's name.

    A key only ever gets an end, or an earlier end, so that what is recorded stays valid and what is revoked stays so.
    """
    if before is None:
        return
    if after is None:
        yield "the file is removed"
        return
    if after.origin != before.origin:
        yield f"the log's name changes from {before.origin} to {after.origin}"
    if _STRICTEST.index(after.separation) > _STRICTEST.index(before.separation):
        yield f"the separation changes from {before.separation} to {after.separation}"
    if before.pinned is not None and (after.pinned is None or after.pinned.size < before.pinned.size):
        yield f"the log is no longer pinned at {before.pinned.size} statements"
    for name, old in before.keys.items():
        new = after.keys.get(name)
        if new is None:
            yield f"the key {name} is removed"
        elif new.model_copy(update={"until": old.until}) != old:
            yield f"the key {name} changes"
        elif old.until is not None and (new.until is None or new.until > old.until):
            yield f"the key {name} ended before statement {old.until} and gets a later end"
