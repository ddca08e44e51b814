"""Expands a pipeline definition into jobs, and decides by their rules which are part of the pipeline."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from factory.errors import InvalidInput
from factory.local_gitlab.definition import keywords, preview, rules, source_files
from factory.local_gitlab.definition.source_files import Source
from factory.local_gitlab.definition.variables import defined, expanded, named, unexpanded
from factory.system import strict_yaml
from factory.system.strict_yaml import Node

_DEFAULTS = ("retry", "interruptible", "timeout", "tags", "id_tokens", "artifacts", "cache")
_STAGES = [".pre", "build", "test", "deploy", ".post"]
_NO_JOB = {"stages", "variables", "workflow", "default", "include", "image", "services", "cache", "spec", "$schema"}


@dataclass(frozen=True)
class Variables:
    """The variables with lower and with higher precedence than the definition's own, and those of its workflow rule."""

    below: Mapping[str, str]
    above: Mapping[str, str]
    workflow: Mapping[str, str]


def expand(
    source: Source,
    variables: Variables,
    *,
    program: tuple[str, ...],
    env: Mapping[str, str],
    kept: Path,
    every: bool = False,
) -> list[dict[str, Any]]:
    """Return the pipeline's jobs by stage, each with its evaluated ``when`` and its expanded keywords.

    With ``every``, return all jobs of the definition, as if none had rules. ``kept`` is a cache folder of earlier
    results. Raises ``InvalidInput`` with the definition's error.
    """
    known = {**variables.below, **variables.workflow, **variables.above}
    files = source_files.read_all(source, known)
    text = preview.joined(source.config_file, files.texts, program=program, env=env, kept=kept)
    merged = _restored(strict_yaml.load_mapping(text, source=source.config_file), files.hidden)
    keywords.refuse(_jobs_alone(text, source.config_file), f"{source.config_file}, joined", joined=True)
    merged["variables"] = {**(merged.get("variables") or {}), **variables.workflow}
    jobs = _Jobs(merged, files.default, variables, _code(source))
    if every:
        jobs = replace(jobs, merged={name: _without_rules(name, value) for name, value in merged.items()})
    # docs: workflow. Without its rules, jobs without rules are not part of a merge request's pipeline.
    return jobs.of_pipeline(usual=not source.of_request or bool(merged.get("workflow")))


def _without_rules(name: str, value: Any) -> Any:
    if name in _NO_JOB or not isinstance(value, Mapping):
        return value
    return {key: item for key, item in value.items() if key != "rules"}


def _jobs_alone(preview: str, name: str) -> Node | None:
    """Return the joined jobs, in which references and extended jobs have brought keywords together."""
    document = strict_yaml.compose(preview, source=name)
    if document is None:
        return None
    pairs = tuple((key, value) for key, value in document.pairs if key.text not in _NO_JOB)
    return Node(document.tag, document.line, document.start, document.end, None, (), pairs)


def _code(source: Source) -> rules.Files:
    def changed() -> Sequence[str] | None:
        if source.compare_sha is None:
            return None
        listed = source.repository.git("diff", "--name-only", "-z", "--no-renames", source.compare_sha, source.sha)
        return [name for name in listed.split("\0") if name]

    def existing() -> Sequence[str]:
        listed = source.repository.git("ls-tree", "-r", "-z", "--name-only", source.sha)
        return [name for name in listed.split("\0") if name]

    return rules.Files(changed, existing)


@dataclass(frozen=True)
class _Jobs:
    """The jobs of a joined definition."""

    merged: Mapping[str, Any]
    default: Mapping[str, Any]
    variables: Variables
    code: rules.Files

    def of_pipeline(self, *, usual: bool) -> list[dict[str, Any]]:
        """Return the jobs that rules admit, by stage; raises ``InvalidInput`` for needs that can't be met."""
        stages = self.merged.get("stages") or _STAGES
        written = {name: job for name, job in self.merged.items() if name not in _NO_JOB and isinstance(job, Mapping)}
        found = [job for name, own in written.items() if (job := self._job(name, own, stages, usual=usual))]
        _check_needs(found, written)
        if all(job["stage"] in {".pre", ".post"} for job in found):
            return []
        return sorted(found, key=lambda job: int(job["stage_index"]))

    def _job(self, name: str, own: Mapping[str, Any], stages: Sequence[str], *, usual: bool) -> dict[str, Any] | None:
        default, inherit = self.default, own.get("inherit") or {}
        taken = _inherited(inherit.get("default", True), {key: default[key] for key in _DEFAULTS if key in default})
        keywords_ = {**taken, **own}
        shared = _inherited(inherit.get("variables", True), self.merged["variables"])
        variables = {**shared, **(keywords_.get("variables") or {})}
        stage = str(own.get("stage", "test"))
        outcome = rules.decide(keywords_, self._seen(variables, named(name, stage)), self.code, usual=usual)
        if outcome is None:
            return None
        if stage not in stages:
            raise InvalidInput(
                f"{name} job: chosen stage {stage} does not exist; available stages are {', '.join(stages)}"
            )
        return {
            **keywords_,
            "name": name,
            "stage": stage,
            "stage_index": stages.index(stage),
            "when": outcome.when,
            **_allowed_failure(outcome.allow_failure),
            "needs": _needs(own.get("needs") if outcome.needs is None else outcome.needs),
            "variables": {**variables, **outcome.variables},
        }

    def _seen(self, own: Mapping[str, Any], of_job: Mapping[str, str]) -> dict[str, str]:
        """Return the variables that a job's rules see."""
        below, above = {**self.variables.below, **of_job}, dict(self.variables.above)
        return below | expanded(defined(own), below | above, raw=unexpanded(own)) | above


def _restored(value: Any, expressions: Mapping[str, str]) -> Any:
    """Return a definition with its expressions in place of the constants that stood for them, wherever they stand."""
    if isinstance(value, list):
        return [_restored(item, expressions) for item in value]
    if isinstance(value, Mapping):
        return {name: _restored(item, expressions) for name, item in value.items()}
    return expressions.get(value, value) if isinstance(value, str) else value


def _check_needs(jobs: Sequence[Mapping[str, Any]], written: Mapping[str, Any]) -> None:
    """Raise ``InvalidInput`` if a job needs one that is not in the pipeline, or that waits for it in turn."""
    needed = {job["name"]: [need["job"] for need in job["needs"] or () if not need.get("optional")] for job in jobs}
    for name, names in needed.items():
        for other in names:
            if other in needed:
                continue
            why = (
                " This might be because of the rules keyword. To need a job that sometimes does not exist in the "
                "pipeline, use needs:optional."
                if other in written
                else ""
            )
            raise InvalidInput(f"'{name}' job needs '{other}' job, but '{other}' does not exist in the pipeline.{why}")
    order = {job["name"]: [need["job"] for need in job["needs"] or ()] for job in jobs}
    free: set[str] = set()
    while more := {
        name for name, names in order.items() if name not in free and all(n in free or n not in order for n in names)
    }:
        free |= more
    if left := sorted(order.keys() - free):
        raise InvalidInput(f"The pipeline has circular dependencies: {', '.join(left)} need each other")


def _needs(value: Any) -> list[dict[str, Any]] | None:
    if value is None:
        return None
    return [{"job": item} if isinstance(item, str) else dict(item) for item in value]


def _inherited(setting: Any, values: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what a job takes of the defaults or of the global variables (docs: inherit): all, none or those named."""
    if isinstance(setting, bool):
        return values if setting else {}
    return {name: value for name, value in values.items() if name in setting}


def _allowed_failure(setting: Any) -> dict[str, Any]:
    """Return whether a job may fail, and with which exit codes it may (docs: allow_failure:exit_codes)."""
    if not isinstance(setting, Mapping):
        return {"allow_failure": bool(setting), "allowed_exit_codes": []}
    codes = setting.get("exit_codes", [])
    return {"allow_failure": False, "allowed_exit_codes": codes if isinstance(codes, list) else [codes]}
