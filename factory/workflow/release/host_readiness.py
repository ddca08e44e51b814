"""Waits until every host of an environment is ready for a plan, before the plan is applied."""

from factory.errors import NotFound, ToolTimeout
from factory.evidence import transparency_log
from factory.operations.hosts import readiness
from factory.policies.model import Policies
from factory.system import clock
from factory.workflow.context import Context
from factory.workflow.recorder import read_tree
from factory.workflow.release.rollout import Rollout

_PAUSE = {"simulator": 0.5, "server": 5.0}


def wait(context: Context, policies: Policies, rollout: Rollout) -> None:
    """Return once the hosts that policies/trust.yml names for the environment are ready; at once if it names none.

    Raises ``ToolTimeout`` after the time that policy allows a pipeline.
    """
    keys = policies.trust.hosts_of(rollout.environment) if policies.trust else {}
    deadline = clock.monotonic() + policies.budgets.pipeline_minutes * 60
    told: tuple[str, ...] = ()
    while keys and (unmet := _unmet(context, rollout, keys)):
        if unmet != told:
            context.say(f"{rollout.environment} waits: {'; '.join(unmet)}")
            told = unmet
        if clock.monotonic() > deadline:
            raise ToolTimeout(
                f"{rollout.environment} is not deployed: {'; '.join(unmet)}",
                hint="Nothing was applied. See `factory host status` on that machine; then run `factory work` again.",
            )
        clock.sleep(_PAUSE["simulator" if context.accounts.simulator else "server"])
        context.fetch()


def _unmet(context: Context, rollout: Rollout, keys: dict[str, str]) -> tuple[str, ...]:
    tree = read_tree(context)
    needs = readiness.needed(
        transparency_log.valid(tree, context.trust()),
        project=context.bot.project_path,
        environment=rollout.environment,
        manifest=rollout.digest,
    )
    if needs is None:
        raise NotFound(f"no statement records the plan of {rollout.environment}")
    said = {}
    for host in keys:
        head = context.mirror.head(readiness.branch(rollout.environment, host))
        content = context.mirror.tree(head).get(readiness.FILE) if head else None
        if content is not None:
            said[host] = content
    return readiness.unmet(needs, keys, said, lambda size: transparency_log.root_at(tree, size))
