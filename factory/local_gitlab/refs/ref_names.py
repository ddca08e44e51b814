"""Names of branches and tags, and the rules that cover them (git docs: check-ref-format; docs: Wildcard rules)."""

import re

# What no ref's name has; the star is a rule's only wildcard.
NEVER_IN_A_NAME = re.compile(r"[\x00-\x20\x7f~^:?\[\\]")
_BRANCH = re.compile(r"(?!-)[^\x00-\x20\x7f~^:?*\[\\]+")
_NO_BRANCH = re.compile(r"\.\.|@\{|//|^/|/$|\.$|(?:^|/)\.|\.lock(?:/|$)")


def is_branch_name(text: str) -> bool:
    """Tell whether git takes a text for a branch's name."""
    return bool(_BRANCH.fullmatch(text)) and not _NO_BRANCH.search(text)


def covers(rule: str, name: str) -> bool:
    """Tell whether a rule's name covers a name: the same, or with a text of any length in place of each star."""
    return re.fullmatch(".*".join(re.escape(part) for part in rule.split("*")), name, re.DOTALL) is not None
