"""Runs workflows as durable steps on DBOS: a finished step is not run again, an interrupted workflow resumes.

The store keeps only the position in each workflow. You may delete it at any time, because every step begins by reading
GitLab. A process locks the first free slot of its instance; the kernel releases the lock when the process dies. The
slot is the process's executor id, so the next process in that slot recovers the workflows of the dead process.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

from factory.errors import Conflict, FactoryError
from factory.model.session import Outcome
from factory.system import clock, data, files
from factory.workflow.retry import delay

# The version of the workflows' steps and of their results; each version has a store of its own.
_VERSION = "2"
_SLOTS = 64
Given = TypeVar("Given")
Result = TypeVar("Result")


def preload() -> None:
    """Import DBOS while nothing else has to be done."""
    _dbos()


def _dbos() -> Any:
    """Import DBOS only when a workflow runs: the import takes half a second, and most commands run no workflow."""
    import dbos  # noqa: PLC0415 - see above

    return dbos


class Steps(Protocol):
    """The function with which a workflow runs its steps."""

    def __call__(self, name: str, form: type[Result], step: Callable[[], Result]) -> Result:
        """Run a step once and return its result, a dataclass of the class ``form``; raises what the step raises."""
        ...


Body = Callable[[Steps, Given], Outcome]


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
        self._store = held.folder / f"engine-{_VERSION}.sqlite"
        self._executor = f"slot-{held.number}"
        self._workflows: dict[str, Callable[[str], str]] = {}
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

    def register(self, name: str, form: type[Given], body: Body[Given]) -> None:
        """Register a workflow under a name; ``form`` is the dataclass that its ``body`` is given."""
        durable = self._dbos.workflow(name=name, max_recovery_attempts=1000)

        # The store keeps what a workflow is given and what it returns as JSON.
        def run(given: str) -> str:
            value = data.read(form, given, source=f"the start of {name}")
            return data.write(body(self._run_step, value)).decode()

        self._workflows[name] = durable(run)

    def run(self, name: str, key: str, given: object) -> Outcome:
        """Run a workflow to its end and return its outcome; a pending run of the same key is resumed instead.

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
            handle = self._dbos.start_workflow(self._workflows[name], data.write(given).decode())
        return data.read(Outcome, handle.get_result(polling_interval_sec=0.05), source=f"the end of {name}")

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

    def _run_step(self, name: str, form: type[Result], step: Callable[[], Result]) -> Result:
        self._failpoint(f"{name}:before")
        kept: str = self._dbos.run_step({"name": name}, lambda: data.write(_with_retry(step)).decode())
        self._failpoint(f"{name}:after")
        return data.read(form, kept, source=f"the step {name}")


def _with_retry(step: Callable[[], Result]) -> Result:
    tries = 0
    while True:
        tries += 1
        try:
            return step()
        except FactoryError as error:
            pause = delay(error, tries)
            if pause is None:
                raise
            clock.sleep(pause)


def _slot_file(folder: Path, number: int) -> Path:
    return folder / f"slot-{number}.lock"
