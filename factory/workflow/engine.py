"""Runs workflows as durable steps on DBOS: a finished step is not run again, an interrupted workflow resumes.

The store keeps only the position in each workflow. You may delete it at any time, because every step begins by reading
GitLab. A process locks the first free slot of its instance; the kernel releases the lock when the process dies. The
slot is the process's executor id, so the next process in that slot recovers the workflows of the dead process.
"""

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from factory.errors import Conflict, FactoryError
from factory.system import clock, files
from factory.workflow.retry import delay

_VERSION = "1"
_SLOTS = 64


def _dbos() -> Any:
    """Import DBOS only when a workflow runs: the import takes half a second, and most commands run no workflow."""
    import dbos  # noqa: PLC0415 - see above

    return dbos


class Steps(Protocol):
    """The function with which a workflow runs its steps."""

    def __call__(self, name: str, step: Callable[..., dict[str, Any]], *arguments: Any) -> dict[str, Any]:
        """Run a step once and return its result; raises what the step raises."""
        ...


Body = Callable[[Steps, dict[str, Any]], dict[str, Any]]


@dataclass(frozen=True)
class Slot:
    """A numbered lock that one process of an instance holds."""

    number: int
    folder: Path

    def lives(self, number: int) -> bool:
        """Return whether a process holds that slot."""
        if number == self.number:
            return True
        try:
            with files.locked(_slot_file(self.folder, number), wait=False):
                return False
        except Conflict:
            return True


@contextmanager
def slot(folder: Path) -> Iterator[Slot]:
    """Hold the first free slot; raises ``Conflict`` if every slot is in use."""
    files.private_folder(folder)
    for number in range(_SLOTS):
        with ExitStack() as stack:
            try:
                stack.enter_context(files.locked(_slot_file(folder, number), wait=False))
            except Conflict:
                continue
            yield Slot(number, folder)
            return
    raise Conflict(f"{_SLOTS} processes of this instance are running already")


class Engine:
    """The durable engine of one process; register the workflows before the first ``run``."""

    def __init__(self, held: Slot, *, failpoint: Callable[[str], None]) -> None:
        self._failpoint = failpoint
        self._launched = False
        self._store = held.folder / "engine.sqlite"
        self._executor = f"slot-{held.number}"
        self._workflows: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {}
        for name in ("dbos", "sqlalchemy.engine"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
        self._library = _dbos()
        config = self._library.DBOSConfig(
            name="factory",
            system_database_url=f"sqlite:///{self._store}",
            application_version=_VERSION,
            executor_id=self._executor,
            log_level="CRITICAL",
            enable_otlp=False,
            notification_listener_polling_interval_sec=0.05,
        )
        self._dbos = self._library.DBOS
        self._dbos(config=config)

    def register(self, name: str, body: Body) -> None:
        """Register a workflow under a name."""
        durable = self._dbos.workflow(name=name, max_recovery_attempts=1000)

        def workflow(arguments: dict[str, Any]) -> dict[str, Any]:
            return body(self._run_step, arguments)

        self._workflows[name] = durable(workflow)

    def run(self, name: str, key: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Run a workflow to its end and return its result; a pending run of the same key is resumed instead.

        The first call opens the store. It cancels every other workflow that the slot's last process left unfinished;
        such a workflow starts again from the state on GitLab when it is next chosen.
        """
        prefix = f"{name}-{key}-"
        if not self._launched:
            self._forget_others(prefix)
            self._dbos.launch()
            self._launched = True
        known = self._dbos.list_workflows(workflow_id_prefix=prefix, load_input=False, load_output=False)
        pending = [item.workflow_id for item in known if item.status in {"PENDING", "ENQUEUED"}]
        with self._library.SetWorkflowID(pending[-1] if pending else f"{prefix}{len(known) + 1}"):
            handle = self._dbos.start_workflow(self._workflows[name], dict(arguments))
        result: dict[str, Any] = handle.get_result(polling_interval_sec=0.05)
        return result

    def _forget_others(self, prefix: str) -> None:
        if not self._store.exists():
            return
        client = self._library.DBOSClient(system_database_url=f"sqlite:///{self._store}")
        try:
            unfinished = client.list_workflows(status="PENDING", executor_id=self._executor, load_input=False)
            for item in unfinished:
                if not item.workflow_id.startswith(prefix):
                    client.cancel_workflow(item.workflow_id)
        finally:
            client.destroy()

    def close(self) -> None:
        """Stop the engine's threads."""
        self._dbos.destroy(destroy_registry=True)

    def _run_step(self, name: str, step: Callable[..., dict[str, Any]], *arguments: Any) -> dict[str, Any]:
        self._failpoint(f"{name}:before")
        result: dict[str, Any] = self._dbos.run_step({"name": name}, _with_retry, step, *arguments)
        self._failpoint(f"{name}:after")
        return result


def _with_retry(step: Callable[..., dict[str, Any]], *arguments: Any) -> dict[str, Any]:
    tries = 0
    while True:
        tries += 1
        try:
            return step(*arguments)
        except FactoryError as error:
            pause = delay(error, tries)
            if pause is None:
                raise
            clock.sleep(pause)


def _slot_file(folder: Path, number: int) -> Path:
    return folder / f"slot-{number}.lock"
