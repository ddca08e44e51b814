"""Valid ref names, and matching of rule patterns (git docs: check-ref-format; GitLab docs: Wildcard rules)."""

import re

# Characters that no ref name contains. ``*`` is missing because it is the wildcard of rules.
NEVER_IN_A_NAME = re.compile(r"[\x00-\x20\x7f~^:?\[\\]")
_BRANCH = re.compile(r"(?!-)[^\x00-\x20\x7f~^:?*\[\\]+")
_NO_BRANCH = re.compile(r"\.\.|@\{|//|^/|/$|\.$|(?:^|/)\.|\.lock(?:/|$)")


def is_branch_name(text: str) -> bool:
    """Return whether a text is a valid branch name for git."""
    return bool(_BRANCH.fullmatch(text)) and not _NO_BRANCH.search(text)


def covers(rule: str, name: str) -> bool:
    """Return whether a rule's pattern matches a name; each ``*`` matches a text of any length."""
    return re.fullmatch(".*".join(re.escape(part) for part in rule.split("*")), name, re.DOTALL) is not None
