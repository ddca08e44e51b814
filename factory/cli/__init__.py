"""The command line: one file per command, loaded only when that command is called."""

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING

import click

from factory import __version__
from factory.cli import hints
from factory.cli.lazy import Commands

if TYPE_CHECKING:
    from factory.errors import FactoryError

# Name → module and one line of help: what a bare `--help` shows without loading any command.
COMMANDS: Mapping[str, tuple[str, str]] = {
    "demo": ("factory.cli.instance.demo", "Watch one issue travel from open to deployed."),
    "up": ("factory.cli.instance.up", "Start the embedded GitLab, Cloudflare and runner."),
    "down": ("factory.cli.instance.down", "Stop the embedded servers."),
    "status": ("factory.cli.status", "Show where everything stands."),
    "work": ("factory.cli.work", "Do the next thing: deliver an issue, merge, deploy."),
    "issue": ("factory.cli.issue", "Open, list and show issues."),
    "propose": ("factory.cli.repository.propose", "Judge your branch, push it and open its merge request."),
    "mr": ("factory.cli.mr", "Open, list, show, try, approve and merge merge requests."),
    "pipeline": ("factory.cli.pipeline", "Show pipelines and the logs of their jobs."),
    "deploy": ("factory.cli.deploy", "List deployments and approve them."),
    "session": ("factory.cli.session", "List sessions, show what an agent did, and step in."),
    "budget": ("factory.cli.budget", "Show what was spent and allow more."),
    "agent": ("factory.cli.agent", "List coding agents and try them out."),
    "mcp": ("factory.cli.agent.reading_tools", "Let your own agent read what waits and why, and change nothing."),
    "evidence": ("factory.cli.evidence", "List the evidence and verify it offline."),
    "why": ("factory.cli.evidence.why", "Show where a line comes from, who approved it and where it runs."),
    "eval": ("factory.cli.eval", "Compare agents, models and briefs on recorded issues."),
    "spec": ("factory.cli.spec", "Write specs, find what they leave open, trace what proves them."),
    "app": ("factory.cli.repository.app", "List the apps, add a repository as one, test and build them."),
    "policy": ("factory.cli.policy", "Check policies, explain what they decide, run their example cases."),
    "gate": ("factory.cli.gate", "Collect facts and judge a change, as CI does."),
    "enforce": ("factory.cli.repository.enforce", "Propose that the gates block what they only observed so far."),
    "host": ("factory.cli.host", "Run releases on a machine of your own, as the evidence says."),
    "infra": ("factory.cli.infra", "Plan, apply and verify infrastructure, as CI does."),
    "init": ("factory.cli.repository.init", "Make a control repository of your own."),
    "upgrade": ("factory.cli.repository.upgrade", "Merge the next release of the factory into yours."),
    "customize": ("factory.cli.repository.customize", "Copy a file that the factory brings along, to change it."),
    "eject": ("factory.cli.repository.eject", "Take the factory out: plain GitLab and Terraform remain."),
    "connect": ("factory.cli.gitlab.connect", "Connect this clone to a project of your own on GitLab."),
    "gitlab": ("factory.cli.gitlab", "Compare the project's settings on GitLab, and make them so."),
    "prove": ("factory.cli.gitlab.prove", "Do the main job on a real GitLab and Cloudflare, and delete everything."),
    "conformance": ("factory.cli.gitlab.conformance", "Write down what a GitLab answers, and compare two of them."),
    "secrets": ("factory.cli.secrets", "Keep secrets, log in to what keeps them, copy them to CI variables."),
    "doctor": ("factory.cli.doctor", "Check this machine, and say how to fix what is missing."),
    "config": ("factory.cli.config", "Show each setting and where it comes from."),
    "setup": ("factory.cli.instance.setup", "Install the outside programs that are missing."),
    "help": ("factory.cli.help", "Show the help of a command; --all lists every command."),
}
# What `factory --help` shows, by what a person does; the others stand under `factory help --all`.
SECTIONS: Mapping[str, tuple[str, ...]] = {
    "Start": ("demo", "up", "down", "init"),
    "Work": ("spec", "issue", "work", "propose"),
    "Review": ("mr",),
    "Ship": ("deploy",),
    "Look": ("status", "evidence"),
}
HIDDEN: Mapping[str, str] = {
    "serve": "factory.cli.instance.serve",
    "runner": "factory.cli.instance.runner",
    "output": "factory.cli.agent.output_request",
    "git-credential": "factory.cli.gitlab.git_credential",
    "reference": "factory.cli.reference",
}


@click.group(
    cls=Commands.of(COMMANDS, HIDDEN, SECTIONS),
    epilog="`factory help --all` lists every command; `factory help COMMAND` explains one.",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
@click.option("--instance", metavar="NAME", help="Which embedded instance to use (default: default).")
@click.option("--debug", is_flag=True, help="Show where an error comes from.")
@click.version_option(__version__, message="%(version)s")
@click.pass_context
def root(ctx: click.Context, instance: str | None, debug: bool) -> None:
    """Run a software company from one repository: specs and issues in, reviewed and evidenced deploys out."""
    ctx.obj = {"instance": instance, "debug": debug}
    if instance:
        hints.use(instance)


def tell(error: "FactoryError") -> None:
    """Show an expected error: one line, and its next step."""
    click.echo(f"factory: {hints.named(str(error))}", err=True)
    click.echo(f"  next: {hints.named(error.hint)}", err=True)


def main() -> None:
    """Run the command line; an expected error is one line, its next step, and its own exit code."""
    from factory.errors import FactoryError, Interrupted  # noqa: PLC0415 - start-up speed

    try:
        ended = root.main(prog_name="factory", standalone_mode=False)
        # click gives the code of `Exit` back instead of raising it.
        sys.exit(ended if isinstance(ended, int) else 0)
    except FactoryError as error:
        if "--debug" in sys.argv:
            raise
        tell(error)
        sys.exit(error.exit_code)
    except click.ClickException as usage:
        usage.show()
        sys.exit(usage.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo(f"factory: interrupted\n  next: {Interrupted.hint}", err=True)
        sys.exit(Interrupted.exit_code)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(0)
    except Exception as error:  # the outermost edge: a person never gets a traceback unasked
        if "--debug" in sys.argv:
            raise
        click.echo(f"factory: unexpected {type(error).__name__}: {error}", err=True)
        click.echo(hints.named("  next: run it again as `factory --debug …` and report what that shows"), err=True)
        sys.exit(1)
