"""The errors that the factory raises on purpose. Each class sets an exit code and a hint for the next step.

Exit codes are a public interface (``docs/reference/exit-codes.md`` is generated from this file). Code decides by the
class of an error, never by its message.
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


class Unexpected(FactoryError):
    """The factory has a defect, or the machine failed in a way that no code expects."""

    hint = "Report it with the traceback file that the message names. `factory work` tries it again later."


class InvalidInput(FactoryError):
    """A file or value that a person wrote is invalid."""

    exit_code = 3
    hint = "Correct the file or value named above and run the command again."


class OutsideRepository(InvalidInput):
    """The folder is not in a control repository: a git clone with a folder ``policies/``."""

    hint = "Change into your clone, or make a control repository with `factory init DIR`."

    def __init__(self, folder: object) -> None:
        super().__init__(f"{folder} is not in a control repository (a git clone with a folder policies/)")


class NotFound(FactoryError):
    """The named object does not exist, or the account may not see it."""

    exit_code = 4
    hint = "Check the name or number: nothing has it, or your account may not see what has it."


class SourceNotFound(NotFound):
    """No repository answers at a path or URL, or it has no such ref."""

    hint = "Check the path or URL and the ref with `git ls-remote`."


class Refused(FactoryError):
    """A policy, a digest or a role forbids the action; nothing was changed."""

    exit_code = 5
    hint = "Read the reason above; a refused action needs a new approval or a changed policy."


class GateFailed(FactoryError):
    """At least one required gate did not pass."""

    exit_code = 6
    hint = "Fix the findings above, then run `factory gate run` again."


class Conflict(FactoryError):
    """Another process or person holds what this command needs, or has changed it in the meantime."""

    exit_code = 7
    hint = "Wait for the other holder to finish, or look at `factory status`."


class PortInUse(Conflict):
    """Another process uses a loopback port of the instance."""

    hint = "Stop the process on that port, or choose new ports with `factory up --new-ports`."


class Unreachable(FactoryError):
    """A server did not answer, or broke the connection."""

    exit_code = 8
    hint = "Start the embedded servers with `factory up`, or check the URL with `factory status`."


class RateLimited(Unreachable):
    """The rate limit of a server lasts longer than the command waits; the server did not process the last request."""

    hint = "After the time above, run the same command again: it continues where it stopped."


class Unauthorized(FactoryError):
    """A server does not accept the token."""

    exit_code = 9
    hint = "The token is wrong or revoked; set a new one (see docs/gitlab.md, Accounts)."


class MachineError(FactoryError):
    """The machine lacks a program, a permission or disk space."""

    exit_code = 10
    hint = "Run `factory setup`; it names what is missing and the command that installs it."


class ToolFailed(MachineError):
    """A program that the factory started exited with an error."""

    hint = "The program's own message is above."


class ToolTimeout(MachineError):
    """A program that the factory started exceeded its time limit; its whole process group was killed."""

    hint = "Run the command again; if the program times out again, raise its limit in policies/."


class OutputTooLarge(ToolFailed):
    """A program that the factory started wrote more than may be kept; its whole process group was killed."""

    hint = "Run the program by itself to see what it writes without end."


class DiskFull(MachineError):
    """The disk is full; the file to be written is unchanged."""

    hint = "Free some space and run the same command again: it continues where it stopped."


class SandboxUnavailable(MachineError):
    """The machine does not support the required sandbox level."""

    hint = "Install bubblewrap (Debian, Ubuntu: apt-get install bubblewrap), or lower the level in policies/agents.yml."


class AgentFailed(FactoryError):
    """An agent ended without work that can be proposed."""

    exit_code = 11
    hint = "Read the agent's transcript with `factory session logs`."


class ApplyUnknown(FactoryError):
    """An apply was interrupted. Its changes are unknown, so the factory never retries it."""

    exit_code = 12
    hint = "Follow runbooks/apply-unknown.md: check the state lock and a fresh plan before you do anything else."


class EvidenceInvalid(FactoryError):
    """A statement, signature, digest or log proof is invalid."""

    exit_code = 13
    hint = "Do not ship on this evidence; compare it with another clone of the evidence branch."


class EvidenceIncomplete(EvidenceInvalid):
    """The evidence lacks, or contradicts, what a merge or an apply requires."""

    hint = "See what is missing with `factory evidence verify`."


class AwaitingHuman(FactoryError):
    """The factory waits for a person's decision; nothing failed."""

    exit_code = 14
    hint = "Decide with `factory mr approve` or `factory deploy approve`, or in GitLab."


class BudgetExhausted(FactoryError):
    """A budget is used up; work stops until a person increases it."""

    exit_code = 15
    hint = "Run `factory budget show`, then `factory budget increase`; or raise the caps in policies/budgets.yml."


class ProviderLimited(FactoryError):
    """A model's provider limits requests or does not answer, and no other agent can take over; the issue waits."""

    exit_code = 16
    hint = "The factory offers the issue again after that time. `factory agent doctor` shows which agents work."


class ProofFailed(FactoryError):
    """A step of `factory prove` failed, or something that the run made could not be deleted."""

    exit_code = 17
    hint = "Read the report. If it lists something as left, run `factory prove --clean-up`."


class LoopbackDiffers(FactoryError):
    """The GitLab answers otherwise than the loopback GitLab; all steps of `factory prove` passed."""

    exit_code = 18
    hint = "Read the differences in the report, and correct factory/local_gitlab by them."


class Interrupted(FactoryError):
    """A person interrupted the command; the same command resumes it."""

    exit_code = 130
    hint = "Run the same command again: it continues where it stopped."
