"""Derives the pipelines of repositories that carry the factory's wheel from the factory's own definition."""

import re
from collections.abc import Callable

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
# Its tests lie in an app's `tests/contract`; a company's gates read none until it adds the gate and the job.
_CONTRACT = "contract"


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
    text = _without(definition, lambda job: job not in _KEPT)
    text = text.replace("    - plan\n", "")
    return re.sub(r"^stages: .*$", "stages: [validate, test, gate]", text, flags=re.MULTILINE)


def derive_deploying(definition: str) -> str:
    """Return the text of the pipeline that also plans and deploys, without contracts and the hostnames of this app."""
    return re.sub(r', url: "[^"]*"', "", _without(definition, lambda job: job == _CONTRACT))


def _without(definition: str, left_out: Callable[[str], bool]) -> str:
    head, *blocks = _BLOCK.split(definition.rstrip("\n"))
    kept = [block for block in blocks if (key := _KEY.search(block)) and not left_out(key[1])]
    return "\n\n".join([head, *kept]).replace(f"    - {{job: {_CONTRACT}, artifacts: false}}\n", "") + "\n"
