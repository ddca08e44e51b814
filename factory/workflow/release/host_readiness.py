"""Waits until every host of an environment is ready for a plan, before the plan is applied."""

from factory.errors import NotFound, ToolTimeout
from factory.evidence import transparency_log
from factory.operations.hosts import readiness, waiting
from factory.operations.hosts.readiness import Needed
from factory.policies.model import Policies
from factory.workflow.context import Context
from factory.workflow.recorder import read_tree
from factory.workflow.release.rollout import Rollout

_PAUSE = {"simulator": 0.1, "server": 5.0}


def wait(context: Context, policies: Policies, rollout: Rollout) -> None:
    """Return once the hosts that the trust root names for the environment are ready; at once if it names none.

    Raises ``ToolTimeout`` after the time that policy allows a pipeline.
    """
    environment = rollout.environment
    keys = context.trust().hosts_of(environment)
    if not keys:
        return
    needs = _needed(context, rollout)

    def look() -> tuple[str, ...]:
        context.fetch()
        tree = read_tree(context)
        found = {host: waiting.said(context.mirror, readiness.branch(environment, host)) for host in keys}
        said = {host: content for host, content in found.items() if content is not None}
        return readiness.unmet(needs, keys, said, lambda size: transparency_log.root_at(tree, size))

    if unmet := waiting.until_ready(
        look,
        seconds=policies.budgets.pipeline_minutes * 60,
        pause=_PAUSE["simulator" if context.accounts.simulator else "server"],
        say=lambda why: context.say(f"{environment} waits: {why}"),
    ):
        raise ToolTimeout(
            f"{environment} is not deployed: {'; '.join(unmet)}",
            hint="Nothing was applied. See `factory host status` on that machine; then run `factory work` again.",
        )


def _needed(context: Context, rollout: Rollout) -> Needed:
    found = readiness.needed(
        transparency_log.valid(read_tree(context), context.trust()),
        project=context.bot.project_path,
        environment=rollout.environment,
        manifest=rollout.digest,
    )
    if found is None:
        raise NotFound(
            f"no statement records the plan of {rollout.environment}",
            hint="Compare the evidence with that of another clone: `factory evidence list`.",
        )
    return found
