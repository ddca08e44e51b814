"""Valid ref names, and matching of rule patterns (git docs: check-ref-format; GitLab docs: Wildcard rules)."""

import re

# Characters that no ref name contains. ``*`` is missing because it is the wildcard of rules.
NEVER_IN_A_NAME = re.compile(r"[\x00-\x20\x7f~^:?\[\\]")
_BRANCH = re.compile(r"(?!-)[^\x00-\x20\x7f~^:?*\[\\]+")
_NO_BRANCH = re.compile(r"\.\.|@\{|//|^/|/$|\.$|(?:^|/)\.|\.lock(?:/|$)")
# docs: Branches, name your branch. The pre-receive hook refuses the same names.
_LIKE_ANOTHER = re.compile(r"HEAD$|refs/(?:heads|remotes|tags)/|(?:[0-9a-f]{40}|[0-9a-f]{64})$")
_SIMPLE = re.compile(r"(?P<start>\^?)(?P<texts>(?:\\[^\w\s*]|\.\*|[^\\.^$*+?()\[\]{}|])*)(?P<end>\$?)")


def is_branch_name(text: str) -> bool:
    """Return whether a text is a branch name that git and GitLab take: none that looks like a commit or a whole ref."""
    return bool(_BRANCH.fullmatch(text)) and not _NO_BRANCH.search(text) and not _LIKE_ANOTHER.match(text)


def covers(rule: str, name: str) -> bool:
    """Return whether a rule's pattern matches a name; each ``*`` matches a text of any length."""
    first, *others = (re.escape(part) for part in rule.split("*"))
    # An atomic group takes the first place of a text and no other: no rule takes long to match.
    pattern = first + "".join(f"(?>.*?{part})" for part in others[:-1]) + "".join(f".*{part}" for part in others[-1:])
    return re.fullmatch(pattern, name, re.DOTALL) is not None


def as_rule(expression: str) -> str | None:
    """Return the rule that matches the same names as a regular expression of texts, ``.*``, ``^`` and ``$``.

    Returns ``None`` for an expression with anything else.
    """
    match = _SIMPLE.fullmatch(expression)
    if match is None:
        return None
    texts = re.sub(r"\\(.)|\.\*", lambda found: found[1] or "*", match["texts"])
    return ("" if match["start"] else "*") + texts + ("" if match["end"] else "*")
