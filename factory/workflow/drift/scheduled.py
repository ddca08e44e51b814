"""Reads what the newest scheduled pipeline found, and compares the evidence with GitLab once after each of them."""

from factory.gitlab import schedules
from factory.model.gitlab import MAIN
from factory.policies.model import Policies
from factory.workflow.context import Context
from factory.workflow.drift import evidence, infrastructure


def tend(context: Context, policies: Policies) -> None:
    """Update the issues about drift; without a new scheduled pipeline this costs one request."""
    if newest := schedules.last_ended(context.bot, ref=MAIN):
        infrastructure.tend(context, policies, newest)
        evidence.tend(context, policies, newest)
