"""Reads what the newest scheduled pipeline found, and compares the evidence with GitLab once after each of them."""

from factory.errors import FactoryError
from factory.gitlab import schedules
from factory.model.gitlab import MAIN
from factory.policies.model import Policies
from factory.workflow.context import Context
from factory.workflow.drift import evidence, infrastructure


def tend(context: Context, policies: Policies) -> None:
    """Update the issues about drift; without a new scheduled pipeline this costs one request.

    A comparison of the evidence that fails is told, and stops no other work.
    """
    newest = schedules.last_ended(context.bot, ref=MAIN)
    if newest is None:
        return
    infrastructure.tend(context, policies, newest)
    try:
        evidence.tend(context, newest)
    except FactoryError as error:
        context.say(f"the evidence is not compared with GitLab: {error} ({error.hint})")
