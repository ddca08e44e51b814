"""Creates plans: for each stack the plan file, its normalised JSON, its manifest and its provider lock.

Plans of merge requests and of main differ only in whether they lock the state.
"""

import json
import zipfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from io import BytesIO
from pathlib import Path
from typing import Any

from factory.errors import FactoryError, InvalidInput, ToolFailed
from factory.model.facts import Plan, PlannedChange
from factory.system import canonical, files
from factory.terraform.manifest import Manifest, decode, normalise
from factory.terraform.program import Terraform
from factory.terraform.source_check import LOCK_FILE, Source, check_source
from factory.terraform.stacks import LIVE
from factory.terraform.state import Identity, identity

PLAN_FILE, PLAN_JSON, MANIFEST, LOCK = "plan.tfplan", "plan.json", "manifest.json", "lock.hcl"
REPORT, INDEX, ARCHIVES = "report.json", "index.json", "archives.json"
_SECRET = ("TF_HTTP_PASSWORD", "CLOUDFLARE_API_TOKEN")


@dataclass(frozen=True)
class Stack:
    """One root of ``terraform/live`` in a checkout, and how terraform runs there.

    ``env`` is terraform's whole environment. ``providers`` maps allowed sources to their version, ``terraform`` is the
    version of the program, ``archives`` has the digest of each app's archive that is published before an apply.
    ``locks_itself`` says that terraform locks the state; otherwise the caller does.
    """

    name: str
    tree: Path
    commit: str
    base: str
    policy: str
    program: str
    terraform: str
    env: Mapping[str, str]
    providers: Mapping[str, str]
    archives: Mapping[str, str] = field(default_factory=dict)
    locks_itself: bool = True

    @property
    def archives_digest(self) -> str:
        """The digest of the file ``archives.json``; empty if the stack has no archives."""
        return canonical.digest_of(dict(self.archives)) if self.archives else ""

    def source(self) -> Source:
        """Return the checked source of the stack; raises ``NotFound`` or ``Refused``."""
        return check_source(self.tree, f"{LIVE}/{self.name}", self.providers)

    def work(self, folder: Path, source: Source) -> Terraform:
        """Return terraform in a fresh copy of the source below ``folder``; the checkout is not changed."""
        files.remove_tree(folder)
        for name, data in source.files:
            files.write_new(folder / name, data)
        return Terraform(folder / source.root, program=self.program, env=self.env)

    def redacted(self, text: str) -> str:
        """Return a text with the tokens in terraform's environment redacted."""
        for name in _SECRET:
            if self.env.get(name):
                text = text.replace(self.env[name], "(redacted)")
        return text

    def variables_digest(self) -> str:
        """Return the digest of the input variables."""
        variables = {key: value for key, value in self.env.items() if key.startswith("TF_VAR_")}
        return canonical.digest_of(variables)


@dataclass(frozen=True)
class PlanResult:
    """The result of planning one stack: its plan, or the error."""

    stack: str
    manifest: Manifest | None
    plan: Plan
    error: FactoryError | None = None


# Raises an error for a plan, given as terraform's JSON, that may not be saved.
Check = Callable[[Stack, Mapping[str, object]], None]


def source_digest(source: Source) -> str:
    """Return the digest of all files of a stack."""
    return canonical.digest_of([[name, canonical.digest(data)] for name, data in source.files])


def make_all(
    stacks: Sequence[Stack],
    out: Path,
    *,
    after: Mapping[str, Sequence[str]],
    lock_state: bool,
    parallel: int,
    check: Check | None = None,
) -> list[PlanResult]:
    """Plan the stacks, given in dependency order, ``parallel`` at a time; write each plan to ``out/<stack>``.

    If a stack cannot be planned, the stacks that come after it are not planned. ``out/index.json`` lists the manifests
    and ``out/report.json`` is GitLab's Terraform report of all stacks. A stack's error is in its result, not raised.
    ``check`` raises an error for a plan that may not be saved.
    """
    files.remove_tree(out)
    with ThreadPoolExecutor(max_workers=parallel) as pool:
        running: dict[str, Future[PlanResult]] = {}

        def one(stack: Stack) -> PlanResult:
            for name in after.get(stack.name, ()):
                if name in running and running[name].result().error is not None:
                    error = ToolFailed(f"{stack.name} is not planned because {name}, which it depends on, has no plan")
                    return PlanResult(stack.name, None, Plan(stack.name, "", problem=str(error)), error)
            try:
                manifest, plan = make(stack, out / stack.name, lock_state=lock_state, check=check)
            except FactoryError as error:
                return PlanResult(stack.name, None, Plan(stack.name, "", problem=str(error)), error)
            except RecursionError:
                deep = ToolFailed("the plan's JSON is nested too deeply to be judged")
                return PlanResult(stack.name, None, Plan(stack.name, "", problem=str(deep)), deep)
            return PlanResult(stack.name, manifest, plan)

        for stack in stacks:
            running[stack.name] = pool.submit(one, stack)
        results = [running[stack.name].result() for stack in stacks]
    named = {item.stack: _named(item) for item in results}
    files.write_atomic(out / INDEX, canonical.encode({"commit": stacks[0].commit if stacks else "", "stacks": named}))
    files.write_atomic(out / REPORT, json.dumps(_report([item.plan for item in results])).encode())
    return results


def make(stack: Stack, out: Path, *, lock_state: bool, check: Check | None = None) -> tuple[Manifest, Plan]:
    """Plan one stack and write plan file, JSON, manifest and provider lock into ``out``.

    ``lock_state`` is false for merge requests, because their token can only read. Raises ``Refused`` if the source
    is refused, and the errors of ``Terraform`` and ``check``.
    """
    source = stack.source()
    work = out / "work"
    terraform = stack.work(work, source)
    terraform.start()
    manifest, normalised = planned(stack, terraform, source, lock_state=lock_state, check=check)
    # The manifest is written last: a file that a crash cut short does not match its digest.
    files.write_new(out / PLAN_FILE, (terraform.folder / PLAN_FILE).read_bytes(), mode=0o600)
    files.write_new(out / PLAN_JSON, canonical.encode(normalised))
    files.write_new(out / LOCK, _lock(terraform.folder))
    files.write_new(out / MANIFEST, manifest.encode())
    if stack.archives:
        files.write_new(out / ARCHIVES, canonical.encode(dict(stack.archives)))
    files.remove_tree(work)
    return manifest, facts(stack.name, manifest.plan, normalised)


def planned(
    stack: Stack, terraform: Terraform, source: Source, *, lock_state: bool, check: Check | None = None
) -> tuple[Manifest, Mapping[str, Any]]:
    """Plan an initialised folder into ``plan.tfplan``; return the manifest and the normalised JSON."""
    terraform.write_plan(PLAN_FILE, lock=lock_state)
    shown = _shown(stack, terraform, PLAN_FILE)
    if check is not None:
        check(stack, shown)
    normalised = normalise(shown)
    data = files.read_bytes(terraform.folder / PLAN_FILE)
    where = state_of(data)
    manifest = Manifest(
        stack=stack.name,
        commit=stack.commit,
        base=stack.base,
        plan_file=canonical.digest(data),
        plan=canonical.digest_of(normalised),
        state_lineage=where.lineage,
        state_serial=where.serial,
        provider_lock=canonical.digest(_lock(terraform.folder)),
        terraform=stack.terraform,
        policy=stack.policy,
        source=source_digest(source),
        variables=stack.variables_digest(),
        archives=stack.archives_digest,
    )
    return manifest, normalised


def read_normalised(stack: Stack, terraform: Terraform, name: str) -> Mapping[str, Any]:
    """Return a plan file's normalised JSON with tokens redacted; raises ``ToolFailed``, ``InvalidInput``."""
    return normalise(_shown(stack, terraform, name))


def _shown(stack: Stack, terraform: Terraform, name: str) -> Mapping[str, Any]:
    try:
        found: Mapping[str, Any] = json.loads(stack.redacted(terraform.show(name)))
    except ValueError as error:
        raise ToolFailed("terraform's JSON of the plan is not readable") from error
    return found


def state_of(plan_file: bytes) -> Identity:
    """Return the identity of the state that a plan was created from; ``("", 0)`` if there was no state.

    A plan file is a zip archive that contains a snapshot of the state. Raises ``InvalidInput`` for any other file.
    """
    try:
        with zipfile.ZipFile(BytesIO(plan_file)) as archive:
            return identity(archive.read("tfstate"))
    except (zipfile.BadZipFile, KeyError) as error:
        raise InvalidInput("the plan file is not readable") from error


def facts(stack: str, digest: str, normalised: Mapping[str, Any]) -> Plan:
    """Return a normalised plan as facts."""
    resources = tuple(_planned(item) for item in normalised["resource_changes"])
    return Plan(stack, digest, resources)


def left(stack: str, normalised: Mapping[str, Any], counted: Callable[[Plan], int]) -> str:
    """Return the resources and outputs that a normalised plan changes; empty if nothing but noise is left.

    ``counted`` returns how many of a plan's changes are more than noise.
    """
    plan = facts(stack, "", normalised)
    outputs = [name for name, change in normalised["output_changes"].items() if change["actions"] != ["no-op"]]
    if counted(plan) or outputs:
        return ", ".join([item.address for item in plan.changes] + [f"output {name}" for name in outputs])
    return ""


def _planned(item: Mapping[str, Any]) -> PlannedChange:
    change, origin = item["change"], item["previous_address"]
    more = [word for word, value in (("import", item["importing"]), ("move", origin)) if value]
    actions = [action for action in change["actions"] if action != "no-op" or not more]
    return PlannedChange(
        item["address"],
        item["type"],
        (*actions, *more),
        change["before"],
        change["after"],
        change["after_unknown"],
        origin,
    )


def read_facts(folder: Path) -> Plan:
    """Return the plan that ``make`` wrote into a folder; ``problem`` says what is missing or unreadable."""
    try:
        data = files.read_bytes(folder / PLAN_JSON)
        manifest = decode(files.read_bytes(folder / MANIFEST))
        found = facts(manifest.stack, canonical.digest(data), json.loads(data))
        if found.digest != manifest.plan:
            return Plan(folder.name, "", problem="the digest of the plan's JSON does not match the manifest")
        return replace(found, commit=manifest.commit)
    except (InvalidInput, ValueError, KeyError, TypeError) as error:
        return Plan(folder.name, "", problem=f"there is no readable plan: {error}")


def read_all(out: Path) -> tuple[Plan, ...]:
    """Return the plans that ``make_all`` wrote; without an index, one plan with a ``problem``."""
    try:
        return tuple(read_facts(out / name) for name in read_index(out))
    except InvalidInput as error:
        return (Plan("", "", problem=f"there is no readable plan: {error}"),)


def read_index(out: Path) -> list[str]:
    """Return the stacks that ``make_all`` planned or tried to plan; raises ``InvalidInput`` if there is no index."""
    try:
        return sorted(json.loads(files.read_bytes(out / INDEX))["stacks"])
    except (ValueError, KeyError, TypeError) as error:
        raise InvalidInput("the index of the plans is not readable") from error


def _named(item: PlanResult) -> dict[str, str]:
    if item.manifest is None:
        return {"problem": item.plan.problem}
    return {"manifest": item.manifest.digest(), "plan": item.manifest.plan}


def _lock(folder: Path) -> bytes:
    lock = folder / LOCK_FILE
    return lock.read_bytes() if lock.exists() else b""


def _report(plans: Sequence[Plan]) -> dict[str, int]:
    """Return GitLab's Terraform report, which has exactly three counts (GitLab docs: terraform artifact report)."""
    actions = [action for plan in plans for change in plan.changes for action in change.actions]
    return {name: actions.count(name) for name in ("create", "update", "delete")}
