"""Gate `own_pipeline`: the child pipeline of the repository's own definition succeeded.

Its jobs run the change's code, so its result is the merge request's own claim.
"""

from factory.model.facts import Facts
from factory.model.verdict import Finding, Verdict, judged
from factory.policies.model import Policies

GATE = "own_pipeline"


def judge(facts: Facts, _policies: Policies) -> Verdict:
    """Return a finding if the child pipeline did not succeed, or could not be created."""
    found = facts.own_pipeline
    if found is None:
        return Verdict(GATE, "skipped", reason="only the pipeline knows the result of its child pipeline")
    if found.problem:
        return Verdict(GATE, "skipped", reason=found.problem)
    if not found.status:
        fix = "Run `factory pipeline check`: it says what GitLab refuses."
        return judged(GATE, [Finding("own_pipeline.not_created", "GitLab could not create your child pipeline", fix)])
    if found.status != "success":
        jobs = f": {', '.join(found.failed)}" if found.failed else ""
        fix = f"See {found.url}" if found.url else "Look at the job of your pipeline that failed."
        return judged(GATE, [Finding("own_pipeline.failed", f"your child pipeline is {found.status}{jobs}", fix)])
    return judged(GATE, [])
