"""``factory budget``: shows spending and reservations, and raises an issue's budget."""

from dataclasses import asdict

import click

from factory.cli import output
from factory.cli.current import current, number
from factory.errors import InvalidInput
from factory.gitlab import issues
from factory.instance.context import make
from factory.instance.workspace import OPERATOR
from factory.system import clock
from factory.workflow.budget import budget, ledger, money, plan_use
from factory.workflow.claim import sessions


@click.group()
def command() -> None:
    """Show spending, and allow an issue more."""


@command.command()
@click.argument("issue", required=False)
@output.as_json
def show(issue: str | None, as_json: bool) -> None:
    """Show the budgets of the day and the month, and of ISSUE (its newest session and in total).

    Below the table: what of it has no known price, what no bill has, and the windows of the agents' plans.
    """
    context = make(current(), holder="", say=output.say)
    context.fetch()
    policies = context.policies()
    iid, now = number(issue, "#") if issue else 0, clock.now()
    mine = [item.session for item in sessions.every(context) if item.issue == iid]
    found = ledger.states(context, policies, issue=iid, session=mine[0] if mine else "")
    shown = [item for item in found if issue or item.bound in {"day", "month"}]
    plans = plan_use.newest(context.machine.state)
    if as_json:
        windows = [
            {"bound": "plan", "agent": plan.agent, "at": plan.at, **asdict(w)} for plan in plans for w in plan.windows
        ]
        output.rows([*(asdict(item) for item in shown), *windows], (), json_wanted=True, empty="")
        return
    rows = [{"bound": item.bound, **_amounts(item)} for item in shown]
    output.rows(rows, ("bound", "tokens", "reserved", "cap", "USD", "of_USD"), json_wanted=False, empty="nothing")
    month = f"{now:%Y-%m}"
    counted = [item for item in ledger.read(context) if item.day.startswith(month) or (iid and item.issue == iid)]
    for line in money.remarks(counted, today=now.date(), age_days=policies.budgets.price_age_days):
        click.echo(line)
    for plan in plans:
        for line in plan.lines(now):
            click.echo(line)


@command.command(name="list")
@output.as_json
def list_(as_json: bool) -> None:
    """List what each attempt reserved or spent."""
    context = make(current(), holder="", say=output.say)
    context.fetch()
    found = [asdict(item) | {"USD": money.of_entry(item)} for item in ledger.read(context)]
    columns = ("key", "day", "agent", "model", "state", "tokens", "USD", "source")
    output.rows(found, columns, json_wanted=as_json, empty="nothing was spent")


@command.command()
@click.argument("issue")
@click.option("--tokens", type=click.IntRange(0, 10**12), default=0, help="The additional tokens.")
@click.option("--usd", type=click.FloatRange(0, 100000), default=0.0, help="The additional US dollars.")
@output.as_json
def increase(issue: str, tokens: int, usd: float, as_json: bool) -> None:
    """Raise an issue's budget, as yourself, and offer it again; raises the day's and month's budgets too."""
    if not tokens and not usd:
        raise InvalidInput("there is nothing to add", hint="Give --tokens, --usd or both.")
    workspace = current()
    context = make(workspace, holder="", say=output.say)
    context.fetch()
    labels = context.policies().session.labels
    connection = workspace.connection(OPERATOR)
    iid = number(issue, "#")
    issues.comment(connection, "issues", iid, body=ledger.increase_note(tokens, usd))
    found = issues.get(connection, iid)
    if labels.exhausted in found.labels:
        issues.relabel(connection, iid, add=[labels.ready], remove=[labels.exhausted])
    text = f"#{iid} may use {tokens} tokens and {usd:.2f} USD more"
    output.one({"issue": iid, "tokens": tokens, "usd": usd, "at": clock.timestamp()}, json_wanted=as_json, text=text)


def _amounts(item: budget.BudgetState) -> dict[str, object]:
    return {
        "tokens": item.spent.tokens,
        "reserved": item.reserved.tokens,
        "cap": item.cap.tokens,
        "USD": _usd(item),
        "of_USD": f"{item.cap.usd_micros / 1e6:.2f}",
    }


def _usd(item: budget.BudgetState) -> str:
    """Return the spent money; an amount of unknown price is never shown as none."""
    known = f"{item.spent.usd_micros / 1e6:.2f}"
    if not item.unpriced:
        return known
    return f"{known} + unknown" if item.spent.usd_micros else "unknown"
