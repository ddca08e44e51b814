"""Finds the line of the policy that a ruling applies."""

from collections.abc import Mapping

from factory.policies import read
from factory.policies.evaluate import Ruling
from factory.policies.problems import document
from factory.system.strict_yaml import Key

# Rule → the policy's name and the keys of the clause; built-in rules are not listed.
_CLAUSES: Mapping[str, tuple[str, Key]] = {
    "scope.protected": ("scope", ("protected",)),
    "scope.allowed": ("scope", ("allowed",)),
    "scope.path": ("scope", ("allowed",)),
    "scope.size": ("scope", ("max_files",)),
    "scope.person": ("scope", ("agents",)),
    "plan.type": ("terraform", ("types",)),
    "plan.protected": ("terraform", ("protected",)),
    "plan.destroy": ("terraform", ("destroy",)),
    "plan.demand": ("terraform", ("demands",)),
    "plan.companion": ("terraform", ("companions",)),
    "plan.size": ("terraform", ("limits", "changes")),
    "plan.destroys": ("terraform", ("limits", "destroys")),
    "plan.percent": ("terraform", ("limits", "percent")),
    "approvals.merge": ("approvals", ("merge", "required")),
}


def where(files: Mapping[str, bytes], ruling: Ruling) -> str:
    """Return ``policies/<name>.yml:<line>`` of the clause that decided, or an empty text for a built-in rule.

    ``(default)`` follows if that file is absent. ``files`` are the policy files. Raises ``InvalidInput`` if the policy
    cannot be read.
    """
    kind, _, risk = ruling.rule.partition(".")
    name, key = _CLAUSES.get(ruling.rule, ("approvals", ("risks", risk)) if kind == "approvals" else ("", ()))
    path = f"policies/{name}.yml"
    deciding = read.effective(files)
    if path not in deciding:
        return ""
    found = document(path, deciding[path])
    place = f"{path}:{found.marks.line(_entry(found.value, key, ruling.facts))}"
    return place if path in files else f"{place} (default)"


def _entry(value: Mapping[str, object], key: Key, facts: Mapping[str, object]) -> Key:
    """Return the key of the list entry that the ruling names, or the key of the list."""
    entries = value.get(str(key[0])) if len(key) == 1 else None
    position = facts.get("demand", facts.get("companion"))
    if isinstance(entries, list) and isinstance(position, int):
        return (*key, position)
    named = facts.get("pattern", facts.get("type"))
    return (*key, entries.index(named)) if isinstance(entries, list) and named in entries else key
