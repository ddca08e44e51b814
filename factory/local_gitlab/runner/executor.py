"""The built-in runner: a shell executor that uses the Runner API.

Each job runs in a clean checkout with a clean environment and in its own process group. Jobs on unprotected refs, such
as those of merge requests, start through the launch door; unless their definition grants them the network, they get no
token.
"""

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

from factory.errors import FactoryError, Refused, Unreachable
from factory.local_gitlab.definition import checkout
from factory.local_gitlab.runner import artifacts
from factory.local_gitlab.runner import script as runner_script
from factory.local_gitlab.runner.trace import Trace
from factory.sandbox import launch
from factory.sandbox.limits import Limits
from factory.system import clock, files, http, log, process, safe_path

_RETRY_PAUSE = 0.5
_TICK = 0.05
# How a shell reports that a program was ended by a signal: this and the number of the signal.
_BY_SIGNAL = 128
# Seconds for an answer to a heartbeat, and to artifacts of the largest size on a busy machine.
_BEAT_SECONDS, _TRANSFER_SECONDS = 10.0, 300.0
NETWORK_VARIABLE = "SANDBOX_NETWORK"
# Limits of sandboxed jobs: enough for builds and tests, too little to block the machine.
_JOB_LIMITS = Limits(memory_bytes=8 * 2**30, processes=2048, file_bytes=8 * 2**30)


@dataclass(frozen=True)
class Settings:
    """Settings of the built-in runners: server, build folder, environment of jobs, and limits of sandboxed jobs.

    Each of ``tokens`` belongs to a separate runner, which runs ``concurrency`` jobs at once. Every job may read the
    ``shared`` folders, and one that has the machine's network may write to them: it runs the judge's code alone.
    """

    url: str
    tokens: tuple[str, ...]
    builds: Path
    env: Mapping[str, str]
    readable: tuple[Path, ...]
    shared: tuple[Path, ...] = ()
    concurrency: int = 2
    limits: Limits = field(default_factory=lambda: _JOB_LIMITS)


def run(settings: Settings, stop: threading.Event) -> None:
    """Serve jobs until ``stop`` is set."""
    files.remove_tree(settings.builds)
    files.private_folder(settings.builds)
    threads = [
        threading.Thread(target=_serve, args=(settings, token, place, stop), daemon=True)
        for token in settings.tokens
        for place in range(settings.concurrency)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _serve(settings: Settings, token: str, place: int, stop: threading.Event) -> None:
    """Run jobs one after another; an error in one thread stops all threads, and with them the program."""
    try:
        _take_jobs(settings, token, place, stop)
    finally:
        stop.set()


def _take_jobs(settings: Settings, token: str, place: int, stop: threading.Event) -> None:
    # Of the jobs that a runner runs at the same time, each has a place of its own.
    ids = dict.fromkeys(("CI_CONCURRENT_ID", "CI_CONCURRENT_PROJECT_ID"), str(place))
    own = replace(settings, env={**settings.env, **ids})
    client = http.Client(settings.url + "/api/v4", timeout=40)
    while not stop.is_set():
        try:
            answer = client.send("POST", "/jobs/request", json={"token": token, "info": {"name": "built-in"}})
        except Unreachable:
            stop.wait(_RETRY_PAUSE)
            continue
        if answer.status == HTTPStatus.CREATED:
            _Execution(own, answer.json()).run()
        elif answer.status != HTTPStatus.NO_CONTENT:
            log.event("the server refused the runner", status=answer.status)
            stop.wait(_RETRY_PAUSE)


class _Execution:
    """One job, from checkout to its last report."""

    def __init__(self, settings: Settings, payload: Mapping[str, Any]) -> None:
        self._settings = settings
        self._payload = payload
        self._client = http.Client(settings.url + "/api/v4", timeout=_TRANSFER_SECONDS)
        self._number = payload["id"]
        self._folder = settings.builds / str(self._number)
        self._checkout = self._folder / payload["job_info"]["project_name"]
        self._scratch = self._folder / "tmp"
        self._tracked: frozenset[str] = frozenset()
        variables = {item["key"]: item["value"] for item in payload["variables"]}
        self._untrusted = not payload["git_info"]["protected"]
        self._network = not self._untrusted or variables.get(NETWORK_VARIABLE) == "host"
        masked = [item["value"] for item in payload["variables"] if item["masked"]]
        client = http.Client(settings.url + "/api/v4", timeout=_BEAT_SECONDS)
        self._trace = Trace(client, self._number, payload["token"], masked)

    def run(self) -> None:
        """Run the job and report it, then delete its folder; errors of the runner are reported as a system failure."""
        try:
            self._run()
        finally:
            files.remove_tree(self._folder)

    def _run(self) -> None:
        with self._trace.sent_in_time():
            try:
                self._prepare()
                code, reason = self._run_steps()
                if not self._upload(failed=code != 0) and reason is None:
                    code, reason = 1, "script_failure"
            except (FactoryError, OSError, ValueError, RuntimeError, MemoryError, BadZipFile) as error:
                self._trace.write(f"ERROR: Job failed (system failure): {error}\n".encode())
                code, reason = 1, "runner_system_failure"
            self._trace.write(b"Job succeeded\n" if reason is None else f"ERROR: Job failed: {reason}\n".encode())
        if not self._trace.canceled:
            self._report(code, reason)

    def _prepare(self) -> None:
        self._trace.write(f"Running with the built-in runner of {self._settings.url}\n".encode())
        for folder in (self._checkout, self._scratch):
            files.private_folder(folder)
        git = self._payload["git_info"]
        env = {**self._settings.env, "HOME": str(self._scratch)}
        plain = runner_script.without_credentials(git["repo_url"])
        origin = git["repo_url"] if self._network else plain
        how = checkout.of(runner_script.values(self._settings.env, self._payload))
        if not how.fetch:
            self._trace.write(b"Skipping Git repository setup\n")
            self._download()
            return
        self._git("init", "--quiet", env=env)
        files.write_atomic(self._checkout / ".git" / "config", runner_script.git_config(origin).encode(), mode=0o600)
        fetch = {**env, **runner_script.credential_env(git["repo_url"], plain)}
        depth = (f"--depth={how.depth}",) if how.depth else ()
        self._git("fetch", "--quiet", "--no-tags", *depth, "origin", *git["refspecs"], env=fetch)
        if how.files:
            self._git("-c", "advice.detachedHead=false", "checkout", "--quiet", "--force", git["sha"], env=env)
            self._trace.write(f"Checked out {git['sha'][:8]} as detached HEAD ({git['ref']})\n".encode())
        else:
            self._trace.write(b"Skipping Git checkout\n")
        if any(rule.get("untracked") for rule in self._payload["artifacts"]):
            self._tracked = frozenset(self._git("ls-files", "-z", env=env).split("\0"))
        self._download()

    def _download(self) -> None:
        for dependency in self._payload["dependencies"]:
            artifacts.download(self._client, dependency, self._checkout)

    def _git(self, *arguments: str, env: Mapping[str, str]) -> str:
        done = process.run(["git", *arguments], cwd=self._checkout, env=env, timeout=120)
        return done.stdout.decode(errors="surrogateescape")

    def _run_steps(self) -> tuple[int, str | None]:
        code, reason = 0, None
        for step in self._payload["steps"]:
            if step["when"] == "on_success" and code != 0:
                continue
            status = "running" if step["name"] == "script" else "success" if reason is None else "failed"
            step_code, step_reason = self._run_step(step, {"CI_JOB_STATUS": status})
            if not step["allow_failure"]:
                code, reason = step_code, step_reason
        return code, reason

    def _run_step(self, step: Mapping[str, Any], more: Mapping[str, str]) -> tuple[int, str | None]:
        """Run one step with ``more`` variables; return its exit code, and why it failed."""
        if self._is_replaced():
            return 1, "script_failure"
        script = self._scratch / f"{step['name']}.sh"
        safe_path.write(self._folder, script, runner_script.bash(step["script"]).encode())
        prepared = self._door(("bash", str(script)), more)
        group = process.start(
            prepared.argv, cwd=self._checkout, env=prepared.env, stdout=process.PIPE, stderr=process.STDOUT
        )
        reader = threading.Thread(target=self._read, args=(group,), daemon=True)
        reader.start()
        deadline = clock.monotonic() + step["timeout"]
        reason = None
        while group.popen.poll() is None:
            clock.sleep(_TICK)
            if self._trace.canceled or clock.monotonic() > deadline:
                reason = "job_canceled" if self._trace.canceled else "job_execution_timeout"
                break
        group.kill()
        launch.put_back(prepared)
        reader.join(timeout=5)
        group.close()
        code = group.popen.returncode
        code = code if code >= 0 else _BY_SIGNAL - code
        return code, reason or (None if code == 0 else "script_failure")

    def _is_replaced(self) -> bool:
        """Return whether a step put something else in the place of one of the job's folders, and say so in the log."""
        own = (self._folder, self._checkout, self._scratch)
        gone = next((folder for folder in own if folder.is_symlink() or not folder.is_dir()), None)
        if gone is not None:
            self._trace.write(f"ERROR: the job replaced its folder {gone.name}\n".encode())
        return gone is not None

    def _door(self, argv: tuple[str, ...], more: Mapping[str, str]) -> launch.PreparedLaunch:
        env = runner_script.job_env(
            self._settings.env, self._payload, self._checkout, self._scratch, network=self._network
        )
        env |= more
        if not self._untrusted:
            return launch.PreparedLaunch(argv, self._checkout, env)
        prepared = launch.prepare(
            launch.Launch(
                argv=argv,
                cwd=self._checkout,
                env=env,
                writable=(self._folder, *(self._settings.shared if self._network else ())),
                readable=(*self._settings.readable, *self._settings.shared),
                network=self._network,
                limits=self._settings.limits,
            )
        )
        self._trace.write(f"Sandbox level: {prepared.level}, network: {'host' if self._network else 'none'}\n".encode())
        return prepared

    def _read(self, group: process.Group) -> None:
        while chunk := group.read():
            self._trace.write(chunk)

    def _upload(self, *, failed: bool) -> bool:
        """Upload the artifacts of the rules that apply to the job's result; return whether none was refused."""
        taken = not self._is_replaced()
        for rule in self._payload["artifacts"] if taken else ():
            if rule["when"] == "always" or (rule["when"] == "on_failure") is failed:
                try:
                    token = self._payload["token"]
                    line = artifacts.upload(self._client, self._number, token, rule, self._checkout, self._tracked)
                except Refused as error:
                    line, taken = f"ERROR: artifact {rule['artifact_type']}: {error}", False
                if line:
                    self._trace.write(line.encode() + b"\n")
        return taken

    def _report(self, code: int, reason: str | None) -> None:
        report = {
            "token": self._payload["token"],
            "state": "success" if reason is None else "failed",
            "failure_reason": reason,
            "exit_code": code,
        }
        for _ in range(20):
            try:
                self._client.send("PUT", f"/jobs/{self._number}", json=report)
            except Unreachable:
                clock.sleep(_RETRY_PAUSE)
            else:
                return
