"""Every error the factory raises on purpose: what happened, its exit code, and the next step.

Exit codes are a public interface (``docs/reference/exit-codes.md`` is generated from this file). Retry and policy
read these types, never message text.
"""

from typing import ClassVar


class FactoryError(Exception):
    """Base of all expected failures; ``str(error)`` is one clear line."""

    exit_code: ClassVar[int] = 1
    hint: str = "Run the command again with --debug to see where it failed."

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        if hint is not None:
            self.hint = hint


class InvalidInput(FactoryError):
    """A file or value that a person wrote cannot be used as it is."""

    exit_code = 3
    hint = "Correct the file or value named above and run the command again."


class MissingExtra(InvalidInput):
    """A command needs a package that only an extra of the factory installs."""

    hint = "Install the extras: pip install 'factory[loopback,judge]' (in a clone: make setup)."

    def __init__(self, package: str) -> None:
        super().__init__(f"the package {package} is not installed")


class OutsideRepository(InvalidInput):
    """The folder is not in a control repository: a git clone with a folder ``policies/``."""

    hint = "Change into your clone, or make a control repository with `factory init DIR`."

    def __init__(self, folder: object) -> None:
        super().__init__(f"{folder} is not in a control repository (a git clone with a folder policies/)")


class NotFound(FactoryError):
    """What the command names does not exist, or the account may not see it."""

    exit_code = 4
    hint = "List what is there with the matching `list` command."


class Refused(FactoryError):
    """A policy, a digest or a role forbids the action; nothing was changed."""

    exit_code = 5
    hint = "Read the reason above; a refused action needs a new approval or a changed policy."


class GateFailed(FactoryError):
    """At least one required gate did not pass."""

    exit_code = 6
    hint = "Mend the findings above, then run `factory gate run` again."


class Conflict(FactoryError):
    """Somebody else holds, or has already changed, what this command needs."""

    exit_code = 7
    hint = "Wait for the other holder to finish, or look at `factory status`."


class PortInUse(Conflict):
    """A loopback port that the instance keeps is taken by another process."""

    hint = "Stop the process on that port, or choose new ports with `factory up --new-ports`."


class Unreachable(FactoryError):
    """A server did not answer, or broke the connection."""

    exit_code = 8
    hint = "Start the embedded servers with `factory up`, or check the URL with `factory status`."


class RateLimited(Unreachable):
    """A server takes no more requests for longer than the command waits; nothing of the last one was done."""

    hint = "Run the same command again after that time: it continues where it stopped."


class Unauthorized(FactoryError):
    """A server does not accept the token."""

    exit_code = 9
    hint = "The token is wrong or revoked; set a new one (see docs/gitlab.md, Accounts)."


class MachineError(FactoryError):
    """The machine lacks something: a program, a permission, disk space."""

    exit_code = 10
    hint = "Run `factory setup`; it names what is missing and the command that installs it."


class ToolFailed(MachineError):
    """A program that the factory started ended with an error."""

    hint = "The program's own message is above."


class ToolTimeout(MachineError):
    """A program that the factory started ran longer than allowed and was ended with its whole process group."""

    hint = "Run it again; if it hangs again, raise its limit in policies/."


class DiskFull(MachineError):
    """The disk is full; the file that was being written is as it was before."""

    hint = "Free some space and run the same command again: it continues where it stopped."


class SandboxUnavailable(MachineError):
    """The required sandbox level cannot be reached on this machine."""

    hint = "Install bubblewrap (Debian, Ubuntu: apt-get install bubblewrap), or lower the level in policies/agents.yml."


class AgentFailed(FactoryError):
    """An agent ended without work that can be proposed."""

    exit_code = 11
    hint = "Read what it did with `factory session logs`."


class ApplyUnknown(FactoryError):
    """An apply was interrupted: what it changed is not known, and it is never retried by itself."""

    exit_code = 12
    hint = "Follow runbooks/apply-unknown.md: look at the state lock and at a fresh plan before anything else."


class EvidenceInvalid(FactoryError):
    """A statement, signature, digest or log proof does not hold."""

    exit_code = 13
    hint = "Do not ship on this evidence; compare it with another clone of the evidence branch."


class AwaitingHuman(FactoryError):
    """Nothing is wrong; a person must decide before the factory can go on."""

    exit_code = 14
    hint = "Decide with `factory mr approve` or `factory deploy approve`, or in GitLab."


class BudgetExhausted(FactoryError):
    """A budget is used up; work goes on only once a person allows more."""

    exit_code = 15
    hint = "Look at `factory budget show`; allow more with `factory budget increase`, or raise policies/budgets.yml."


class ProviderLimited(FactoryError):
    """A model's provider is limited or does not answer, and no other agent can stand in; the issue waits."""

    exit_code = 16
    hint = "The issue is offered again after that time; `factory agent doctor` tells which agents work."


class Interrupted(FactoryError):
    """A person ended the command; the same command resumes it."""

    exit_code = 130
    hint = "Run the same command again: it continues where it stopped."
