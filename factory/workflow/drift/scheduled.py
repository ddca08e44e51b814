"""Reads what the newest scheduled pipeline found, and compares the evidence with GitLab once after each of them."""

from factory.errors import FactoryError
from factory.gitlab import schedules
from factory.model.gitlab import MAIN, Pipeline
from factory.policies.model import Policies
from factory.workflow.context import Context
from factory.workflow.drift import evidence, infrastructure


def tend(context: Context, policies: Policies) -> Pipeline | None:
    """Update the issues about infrastructure; return the newest scheduled pipeline. Without a new one: one request."""
    newest = schedules.last_ended(context.bot, ref=MAIN)
    if newest is not None:
        infrastructure.tend(context, policies, newest)
    return newest


def compare(context: Context, newest: Pipeline | None) -> None:
    """Compare the evidence with GitLab after a scheduled pipeline. A failure is told, and stops no other work.

    Call it when nothing else is to do: what is being shipped gets its statements first.
    """
    if newest is None:
        return
    try:
        evidence.tend(context, newest)
    except FactoryError as error:
        context.say(f"the evidence is not compared with GitLab: {error} ({error.hint})")
