"""Derives the pipeline of a repository that ships nothing yet from the factory's own definition."""

import re

SOURCE = ".gitlab-ci.yml"
# What such a repository needs of the definition; the other jobs come with its infrastructure.
_KEPT = {
    "workflow",
    "stages",
    "variables",
    "default",
    ".again-if-lost",
    ".on-merge-request",
    ".judge",
    ".claim",
    "validate",
    "unit",
    "gate",
}
_BLOCK = re.compile(r"\n\n(?=(?:#[^\n]*\n)*[.a-z])")
_KEY = re.compile(r"^([.a-z-]+):", re.MULTILINE)
_LEFT_OUT = ("    - {job: contract, artifacts: false}\n", "    - plan\n")


def derive(definition: str) -> str:
    """Return the text of the pipeline without the jobs of contracts, plans and deployments."""
    head, *blocks = _BLOCK.split(definition.rstrip("\n"))
    kept = [block for block in blocks if (key := _KEY.search(block)) and key[1] in _KEPT]
    text = "\n\n".join([head, *kept]) + "\n"
    for line in _LEFT_OUT:
        text = text.replace(line, "")
    return re.sub(r"^stages: .*$", "stages: [validate, test, gate]", text, flags=re.MULTILINE)
