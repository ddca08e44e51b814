"""CI/CD variables of pipelines and jobs (docs: CI/CD variables)."""

from collections.abc import Mapping
from typing import Any

from factory.local_gitlab.ci import predefined
from factory.local_gitlab.definition.variables import (
    defined,
    expanded,
    is_raw,
    named,
    substitute,
    text_of,
    unexpanded,
)
from factory.local_gitlab.refs.ref_names import covers
from factory.local_gitlab.serving.context import Context
from factory.local_gitlab.serving.store import Document


def before_jobs(context: Context, project: Document, pipeline: Document) -> dict[str, str]:
    """Return the variables that rules see before jobs exist."""
    below, above = layers(context, project, pipeline, masked=True)
    return below | (pipeline.get("_workflow") or {}) | above


def layers(
    context: Context, project: Document, pipeline: Document, *, masked: bool = False
) -> tuple[dict[str, str], dict[str, str]]:
    """Return the variables with lower and with higher precedence than a definition's own variables.

    Those of one environment are not among them: rules do not see them (docs: Limit the environment scope of a CI/CD
    variable). ``masked`` adds the masked ones, for rules alone.
    """
    own = {
        item["key"]: item["value"]
        for item in _visible(context, project, pipeline)
        if item["environment_scope"] == "*" and (masked or not item["masked"])
    }
    return predefined.of_pipeline(context, project, pipeline), own | pipeline.get("_variables", {})


def _visible(context: Context, project: Document, pipeline: Document) -> list[Document]:
    """Return the project's variables that a pipeline may see, for all environments."""
    protected = predefined.is_protected(context, project, pipeline)
    found = context.store.all("variable", project=project["id"])
    return [item for item in found if protected or not item["protected"]]


def of_job(context: Context, project: Document, pipeline: Document, job: Document, token: str) -> list[dict[str, Any]]:
    """Return a job's variables in the Runner API's format; later ones override earlier ones.

    The order is GitLab's (docs: CI/CD variable precedence): predefined variables, then those of the definition, of
    dotenv reports of needed jobs, of the project, of the pipeline and of the manual start.
    """
    plain = predefined.of_pipeline(context, project, pipeline) | predefined.of_job(context, project, pipeline, job)
    plain |= named(job["name"], job["stage"])
    found = [_item(key, value) for key, value in plain.items()]
    host = context.base_url.removeprefix("http://")
    url = f"http://gitlab-ci-token:{token}@{host}/{project['path_with_namespace']}.git"
    found += [_item("CI_JOB_TOKEN", token, masked=True), _item("CI_REPOSITORY_URL", url, masked=True)]
    found += [_defined(key, value) for key, value in job["_spec"]["variables"].items()]
    found += [_item(key, value) for key, value in (_of_environment(context, job) | _address(context, job)).items()]
    found += [_item(key, value) for key, value in job["_dotenv"].items()]
    found += _of_project(context, project, pipeline, job)
    files = pipeline.get("_files", [])
    found += [_item(key, value) | {"file": key in files} for key, value in pipeline.get("_variables", {}).items()]
    found += [_item(item["key"], item["value"]) for item in job["_manual_variables"]]
    return found


def of_url(context: Context, job: Document, reported: Mapping[str, str]) -> dict[str, str]:
    """Return the variables in the ``url`` of a job's environment; ``reported`` are those of the job's dotenv report."""
    project, pipeline = context.store.get("project", job["_project"]), context.store.get("pipeline", job["_pipeline"])
    below, above = layers(context, project or {}, pipeline or {})
    written = job["_spec"]["variables"]
    scoped = _of_project(context, project or {}, pipeline or {}, job)
    above |= {item["key"]: item["value"] for item in scoped if not item["masked"]}
    below |= named(job["name"], job["stage"])
    known = {**below, **_of_environment(context, job), **job["_dotenv"], **reported, **above}
    return {**below, **expanded(defined(written), known, raw=unexpanded(written)), **known}


def _of_environment(context: Context, job: Document) -> dict[str, str]:
    stored = context.store.find("environment", job["_environment"] or "", project=job["_project"])
    if stored is None:
        return {}
    keyword = job["_spec"]["environment"]
    return {
        "CI_ENVIRONMENT_NAME": stored["name"],
        "CI_ENVIRONMENT_SLUG": stored["slug"],
        "CI_ENVIRONMENT_ID": str(stored["id"]),
        "CI_ENVIRONMENT_TIER": stored["tier"],
        "CI_ENVIRONMENT_ACTION": str(keyword.get("action") or "start") if isinstance(keyword, dict) else "start",
    }


def _address(context: Context, job: Document) -> dict[str, str]:
    """Return the address of a job's environment: what the job writes, or else what the environment has."""
    stored = context.store.find("environment", job["_environment"] or "", project=job["_project"]) or {}
    keyword = job["_spec"].get("environment")
    url = keyword.get("url") if isinstance(keyword, dict) else None
    address = substitute(str(url), of_url(context, job, {})) if url else stored.get("external_url")
    return {"CI_ENVIRONMENT_URL": address} if address else {}


def _of_project(context: Context, project: Document, pipeline: Document, job: Document) -> list[dict[str, Any]]:
    environment = job["_environment"] or ""
    return [
        {
            "key": item["key"],
            "value": item["value"],
            "public": False,
            "masked": item["masked"],
            "file": item["variable_type"] == "file",
            "raw": item["raw"],
        }
        for item in sorted(_visible(context, project, pipeline), key=lambda item: _precision(item["environment_scope"]))
        if covers(item["environment_scope"], environment)
    ]


def _precision(scope: str) -> int:
    """Return how exactly a scope names an environment: the most exact one that covers it has precedence."""
    return 0 if scope == "*" else 1 if "*" in scope else 2


def _defined(key: str, value: Any) -> dict[str, Any]:
    """Return a variable of the definition, expanded unless ``expand`` is false (docs: variables:expand)."""
    return _item(key, text_of(value)) | {"raw": is_raw(value)}


def _item(key: str, value: str, *, masked: bool = False) -> dict[str, Any]:
    return {"key": key, "value": value, "public": not masked, "masked": masked, "file": False, "raw": True}
