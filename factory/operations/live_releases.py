"""Asks, from outside, which release of each app answers in an environment."""

from collections.abc import Callable, Mapping

from factory.model.deployment import AppRelease
from factory.operations import infra_job
from factory.terraform import release


def answering(
    job: infra_job.Job, stack: str, releases: Mapping[str, str], *, say: Callable[[str], None]
) -> tuple[AppRelease, ...]:
    """Return the release that answers for each app in the stack's environment; raises ``Unreachable``."""
    found = []
    for name in job.carried(stack):
        app = job.apps[name]
        hostname = app.environments[stack].hostname
        edge = job.given.get("FACTORY_EDGE_URL") or f"https://{hostname}"
        answering = release.observe(edge, hostname, app.health, releases[name])
        say(f"{hostname} answers with {answering}")
        found.append(AppRelease(name, f"https://{hostname}", answering))
    return tuple(found)
