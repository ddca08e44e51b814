"""The compute minutes that a project's jobs cost: none on runners of one's own."""

from factory.gitlab.connect import Connection
from factory.gitlab.namespace import compute_minutes
from factory.gitlab.namespace.compute_minutes import ComputeMinutes
from factory.gitlab.runners import OWN, VARIABLE
from factory.policies.model import Policies


def read(connection: Connection, policies: Policies) -> ComputeMinutes | None:
    """Return the minutes of this month, as GitLab tells them to this account, or ``None`` if the jobs cost none."""
    variable = (policies.gitlab.variables or {}).get(VARIABLE)
    if variable is not None and variable.value == OWN:
        return None
    return compute_minutes.read(connection)
