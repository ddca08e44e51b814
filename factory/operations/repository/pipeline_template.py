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


# The protected branch's version of the repository's own definition: like the factory's, it names environments, and with
# them tokens. Variables of the factory's pipeline do not reach it.
_OWN = """# The pipeline of .gitlab-ci.yml, as main has it. It judges nothing; `gate` reads its result as a claim.
own-pipeline:
  stage: test
  needs: []
  allow_failure: true
  inherit: {default: false, variables: false}
  trigger:
    include:
      - {project: $CI_PROJECT_PATH, file: .gitlab/factory/child.yml}
    strategy: depend

"""
_GATE = "# The environment gives this job, and no other,"
_NEEDED = "    - {job: unit, artifacts: false}\n"


def with_own_pipeline(definition: bytes) -> bytes:
    """Return the pipeline with a job that starts the repository's own as a child pipeline."""
    text = definition.decode().replace(_GATE, _OWN + _GATE, 1)
    return text.replace(_NEEDED, f"{_NEEDED}    - {{job: own-pipeline, artifacts: false}}\n", 1).encode()


def derive(definition: str) -> str:
    """Return the text of the pipeline without the jobs of contracts, plans and deployments."""
    head, *blocks = _BLOCK.split(definition.rstrip("\n"))
    kept = [block for block in blocks if (key := _KEY.search(block)) and key[1] in _KEPT]
    text = "\n\n".join([head, *kept]) + "\n"
    for line in _LEFT_OUT:
        text = text.replace(line, "")
    return re.sub(r"^stages: .*$", "stages: [validate, test, gate]", text, flags=re.MULTILINE)
