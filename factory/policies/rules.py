"""The rules of scope and plans: what each denies, and how to fix that."""

from collections.abc import Mapping

from factory.model.verdict import Rule

RULES: Mapping[str, Rule] = {
    "scope.empty": Rule(
        "a change without files",
        "Make the change that the issue asks for.",
    ),
    "scope.odd-path": Rule(
        (
            "a path that cannot be compared: an absolute path, `..`, an empty part, a backslash, an "
            "invisible character, a name that is not in NFC, a part that ends with a dot or a space"
        ),
        "Rename the file.",
    ),
    "scope.submodule": Rule(
        "a path that is or was a submodule",
        "Add the files instead of a submodule.",
    ),
    "scope.link": Rule(
        "a symbolic link",
        "Add the file instead of a link.",
    ),
    "scope.protected": Rule(
        "a path that matches `protected`; the comparison ignores case, as macOS file systems do",
        "Undo the change; only a person may change this file.",
    ),
    "scope.path": Rule(
        "a path that does not match `allowed`; the comparison is case-sensitive",
        "Undo the change to this file.",
    ),
    "scope.size": Rule(
        "a change larger than `max_files` or `max_lines`",
        "Split the work into smaller issues.",
    ),
    "plan.unreadable": Rule(
        "a plan that cannot be read",
        "Read terraform's output and plan again.",
    ),
    "plan.type": Rule(
        "a resource type that `types` does not list",
        "Ask a person to add the type to policies/terraform.yml.",
    ),
    "plan.action": Rule(
        "an action other than create, update, delete, read, import, move and no-op",
        "Change the resource in place, or ask a person.",
    ),
    "plan.destroy": Rule(
        "a delete, if `destroy` is `never`",
        "Change the resource in place, or ask a person.",
    ),
    "plan.protected": Rule(
        "destroying or moving a protected resource",
        "Change the resource in place, or ask a person to remove it from `protected` first.",
    ),
    "plan.demand": Rule(
        "an attribute value that violates an entry of `demands`",
        "Set the attribute to a value that policy allows.",
    ),
    "plan.companion": Rule(
        "a resource without the companion that `companions` requires",
        "Add the resource that policy requires.",
    ),
    "plan.size": Rule(
        "a plan larger than `limits`",
        "Split the work into smaller issues.",
    ),
    "plan.destroys": Rule(
        "a plan larger than `limits`",
        "Split the work into smaller issues.",
    ),
    "plan.percent": Rule(
        "a plan larger than `limits`",
        "Split the work into smaller issues.",
    ),
}


def fix(rule: str) -> str:
    """Return how to fix what a rule denies; a rule without a line of its own needs a person."""
    return RULES[rule].fix if rule in RULES else "Ask a person."
