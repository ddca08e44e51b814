"""The table of keywords of a pipeline definition: each is right, without effect, or refused, and why.

The keywords are those of GitLab's CI schema (docs: CI/CD YAML syntax reference); a test compares the two.
"""

from collections.abc import Mapping

RIGHT = "as GitLab"
# A keyword that has no effect here has none on a runner such as this one either, or only on GitLab's pages.
_NO_CONTAINER = "no effect: the runner is a shell, it starts no container"
_NO_CACHE = "no effect: a job never finds a cache, as on a new runner"
_PAGE_ONLY = "no effect: only GitLab's pages show it"
ANY = "*"
REFUSED = "refused: "

_IF, _WHEN = {"if": RIGHT}, {"when": RIGHT}
_NAMED = {"variables": RIGHT, "variables.*": RIGHT}
_VARIABLES = {**_NAMED, "variables.*.value": RIGHT, "variables.*.expand": RIGHT}
_CHANGES = {"changes": RIGHT, "changes.paths": RIGHT, "changes.compare_to": f"{REFUSED}compares with the usual commit"}
_EXISTS = {
    "exists": RIGHT,
    "exists.paths": RIGHT,
    "exists.project": f"{REFUSED}other projects are not read",
    "exists.ref": f"{REFUSED}other refs are not read",
}
_NEEDS = {"needs": RIGHT, "needs.job": RIGHT, "needs.artifacts": RIGHT, "needs.optional": RIGHT}
_CHILD = ("local", "ref", "artifact", "job", "remote", "template", "component", "inputs")
# One form alone starts a pipeline: a child, of a file of the default branch (`keywords`).
_TRIGGER = {
    **dict.fromkeys(
        ("trigger", "trigger.include", "trigger.include.project", "trigger.include.file", "trigger.strategy"), RIGHT
    ),
    **dict.fromkeys(("trigger.project", "trigger.branch"), f"{REFUSED}no pipeline of another project is started"),
    **dict.fromkeys(("trigger.forward", "trigger.inputs"), f"{REFUSED}a child pipeline gets no values"),
    **dict.fromkeys(
        (f"trigger.include.{name}" for name in _CHILD), f"{REFUSED}write `project: $CI_PROJECT_PATH` and `file`"
    ),
}
_ALLOWED = {"allow_failure": RIGHT, "allow_failure.exit_codes": RIGHT}
# Reports that GitLab reads for its pages alone.
_REPORTS = dict.fromkeys(
    (
        "artifacts.reports.accessibility",
        "artifacts.reports.annotations",
        "artifacts.reports.browser_performance",
        "artifacts.reports.codequality",
        "artifacts.reports.container_scanning",
        "artifacts.reports.coverage_report",
        "artifacts.reports.coverage_report.coverage_format",
        "artifacts.reports.coverage_report.path",
        "artifacts.reports.cyclonedx",
        "artifacts.reports.dast",
        "artifacts.reports.dependency_scanning",
        "artifacts.reports.license_management",
        "artifacts.reports.license_scanning",
        "artifacts.reports.load_performance",
        "artifacts.reports.lsif",
        "artifacts.reports.metrics",
        "artifacts.reports.repository_xray",
        "artifacts.reports.requirements",
        "artifacts.reports.sast",
        "artifacts.reports.secret_detection",
        "artifacts.reports.terraform",
    ),
    _PAGE_ONLY,
)


def _below(prefix: str, rows: Mapping[str, str]) -> dict[str, str]:
    return {f"{prefix}.{name}": verdict for name, verdict in rows.items()}


_JOB: Mapping[str, str] = {
    "script": RIGHT,
    "before_script": RIGHT,
    "after_script": RIGHT,
    "stage": RIGHT,
    "extends": RIGHT,
    "tags": RIGHT,
    "timeout": RIGHT,
    "resource_group": RIGHT,
    "dependencies": RIGHT,
    "inherit": RIGHT,
    "inherit.default": RIGHT,
    "inherit.variables": RIGHT,
    **_VARIABLES,
    **_NEEDS,
    "needs.project": f"{REFUSED}artifacts come from jobs of the same pipeline",
    "needs.ref": f"{REFUSED}artifacts come from jobs of the same pipeline",
    "needs.pipeline": f"{REFUSED}artifacts come from jobs of the same pipeline",
    "needs.parallel": f"{REFUSED}no job is multiplied",
    **_WHEN,
    "start_in": f"{REFUSED}no job is delayed",
    "manual_confirmation": _PAGE_ONLY,
    **_ALLOWED,
    "rules": RIGHT,
    **_below("rules", {**_IF, **_CHANGES, **_EXISTS, **_WHEN, **_ALLOWED, **_NAMED, **_NEEDS}),
    "rules.start_in": f"{REFUSED}no job is delayed",
    "rules.interruptible": f"{REFUSED}a newer pipeline cancels no older one",
    "interruptible": RIGHT,
    "only": f"{REFUSED}write `rules`",
    "except": f"{REFUSED}write `rules`",
    "retry": RIGHT,
    "retry.max": RIGHT,
    "retry.when": RIGHT,
    "retry.exit_codes": RIGHT,
    "id_tokens": RIGHT,
    "id_tokens.*": RIGHT,
    "id_tokens.*.aud": RIGHT,
    "environment": RIGHT,
    "environment.name": RIGHT,
    "environment.url": RIGHT,
    "environment.action": RIGHT,
    "environment.deployment_tier": RIGHT,
    "environment.on_stop": f"{REFUSED}no job stops an environment",
    "environment.auto_stop_in": f"{REFUSED}no environment stops by itself",
    "environment.kubernetes": f"{REFUSED}there is no cluster",
    "artifacts": RIGHT,
    "artifacts.paths": RIGHT,
    "artifacts.exclude": RIGHT,
    "artifacts.when": RIGHT,
    "artifacts.access": RIGHT,
    "artifacts.expire_in": "no effect: artifacts are kept",
    "artifacts.expose_as": _PAGE_ONLY,
    "artifacts.untracked": RIGHT,
    "artifacts.name": f"{REFUSED}the archive is artifacts.zip",
    "artifacts.reports": RIGHT,
    "artifacts.reports.dotenv": RIGHT,
    "artifacts.reports.junit": RIGHT,
    **_REPORTS,
    "image": _NO_CONTAINER,
    "image.name": _NO_CONTAINER,
    "image.entrypoint": f"{REFUSED}no container starts",
    "image.docker": f"{REFUSED}no container starts",
    "image.kubernetes": f"{REFUSED}no container starts",
    "image.pull_policy": f"{REFUSED}no container starts",
    "services": f"{REFUSED}no container starts beside a job",
    "cache": _NO_CACHE,
    "coverage": f"{REFUSED}no coverage is read from a log",
    "hooks": f"{REFUSED}no script runs before the checkout",
    "identity": f"{REFUSED}there is no cloud to log in to; write `id_tokens`",
    "inputs": f"{REFUSED}write `variables`",
    "pages": f"{REFUSED}nothing is published",
    "publish": f"{REFUSED}nothing is published",
    "parallel": f"{REFUSED}write a job for each",
    "release": f"{REFUSED}write a `script` that calls the Releases API",
    "run": f"{REFUSED}write `script`",
    "secrets": f"{REFUSED}write `id_tokens`, and fetch the secret in `script`",
    **_TRIGGER,
}
_DEFAULT = {
    "after_script",
    "artifacts",
    "before_script",
    "cache",
    "hooks",
    "id_tokens",
    "identity",
    "image",
    "interruptible",
    "retry",
    "services",
    "tags",
    "timeout",
}
GLOBAL: Mapping[str, str] = {
    "$schema": "no effect: only editors read it",
    "!reference": f"{REFUSED}it stands for a value",
    "stages": RIGHT,
    **_VARIABLES,
    "variables.*.description": _PAGE_ONLY,
    "variables.*.options": f"{REFUSED}the value is not checked",
    "workflow": RIGHT,
    "workflow.rules": RIGHT,
    **_below("workflow.rules", {**_IF, **_WHEN, **_NAMED}),
    "workflow.rules.changes": f"{REFUSED}write it in the `rules` of the jobs",
    "workflow.rules.exists": f"{REFUSED}write it in the `rules` of the jobs",
    "workflow.rules.auto_cancel": f"{REFUSED}a newer pipeline cancels no older one",
    "workflow.name": f"{REFUSED}a pipeline has no name",
    "workflow.auto_cancel": f"{REFUSED}a newer pipeline cancels no older one",
    "include": RIGHT,
    "include.local": RIGHT,
    "include.rules": RIGHT,
    **_below("include.rules", {**_IF, **_WHEN}),
    "include.rules.changes": f"{REFUSED}an include depends on variables alone",
    "include.rules.exists": f"{REFUSED}an include depends on variables alone",
    "include.project": f"{REFUSED}only files of this project are included",
    "include.ref": f"{REFUSED}only files of this project are included",
    "include.file": f"{REFUSED}only files of this project are included",
    "include.remote": f"{REFUSED}only files of this project are included",
    "include.integrity": f"{REFUSED}only files of this project are included",
    "include.template": f"{REFUSED}only files of this project are included",
    "include.component": f"{REFUSED}only files of this project are included",
    "include.inputs": f"{REFUSED}write `variables`",
    "spec": f"{REFUSED}write `variables`",
    "pages": f"{REFUSED}a job of this name publishes a site on GitLab, and here nothing",
    "default": RIGHT,
    "default.!reference": f"{REFUSED}write the values",
    **{f"default.{name}": verdict for name, verdict in _JOB.items() if name.split(".")[0] in _DEFAULT},
    **{
        name: verdict
        for name, verdict in _JOB.items()
        if name.split(".")[0] in {"image", "services", "cache", "before_script", "after_script"}
    },
}
TABLE: Mapping[str, str] = {**GLOBAL, **_below("job", _JOB)}


def verdict(path: str) -> str | None:
    """Return what becomes of a keyword, by its path (``job.rules.if``); ``None`` if GitLab has no such keyword."""
    if path in TABLE:
        return TABLE[path]
    above = path.rpartition(".")[0]
    found = verdict(above) if above else None
    return None if found == RIGHT else found
