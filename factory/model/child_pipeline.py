"""The child pipeline that runs the repository's own definition."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ChildPipeline:
    """The child pipeline of the repository's own definition: its status, its failed jobs and its address.

    Without a ``status``, GitLab did not create it. ``problem`` says why all this is unknown.
    """

    status: str = ""
    failed: tuple[str, ...] = ()
    url: str = ""
    problem: str = ""
