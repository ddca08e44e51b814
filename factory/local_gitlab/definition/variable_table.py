"""The table of GitLab's predefined variables: when each is set, or why it never is.

The names are those of GitLab 19.3 (docs: Predefined CI/CD variables reference). A test compares the table with what
pipelines and jobs have.
"""

from collections.abc import Mapping

RULES = "rules see it"
JOBS = "only jobs have it"
_REQUESTS = f"in merge request pipelines; {RULES}"
_PART = f"if there is one; {RULES}"
NEVER = "not set: "


def _names(prefix: str, names: str, words: str) -> dict[str, str]:
    """Return rows for names that have a prefix and the same words."""
    return {f"{prefix}{name}": words for name in names.split()}


TABLE: Mapping[str, str] = {
    **_names("", "CI GITLAB_CI GITLAB_FEATURES CI_API_V4_URL CI_CONFIG_PATH", RULES),
    **_names("CI_DEFAULT_", "BRANCH BRANCH_SLUG", RULES),
    **_names("CI_COMMIT_", "AUTHOR BEFORE_SHA DESCRIPTION MESSAGE MESSAGE_IS_TRUNCATED", RULES),
    **_names("CI_COMMIT_", "REF_NAME REF_PROTECTED REF_SLUG SHA SHORT_SHA TIMESTAMP TITLE", RULES),
    "CI_COMMIT_BRANCH": f"in branch pipelines; {RULES}",
    **_names("CI_", "COMMIT_TAG COMMIT_TAG_MESSAGE", f"in tag pipelines; {RULES}"),
    "CI_RELEASE_DESCRIPTION": f"in tag pipelines, {_PART}",
    "CI_OPEN_MERGE_REQUESTS": _PART,
    **_names("CI_JOB_", "NAME NAME_SLUG GROUP_NAME STAGE", "rules of jobs see it"),
    "CI_NODE_TOTAL": "rules of jobs see it; always 1",
    **_names("CI_PIPELINE_", "CREATED_AT SOURCE", RULES),
    "CI_PIPELINE_IID": "rules of jobs see it",
    "CI_PIPELINE_SCHEDULE_DESCRIPTION": f"in scheduled pipelines; {RULES}",
    **_names("CI_PROJECT_", "ID NAME TITLE DESCRIPTION PATH PATH_SLUG TOPICS URL VISIBILITY", RULES),
    **_names("CI_PROJECT_", "NAMESPACE NAMESPACE_ID NAMESPACE_SLUG ROOT_NAMESPACE ROOT_NAMESPACE_SLUG", RULES),
    **_names("CI_SERVER_", "FQDN HOST NAME PORT PROTOCOL REVISION URL", RULES),
    **_names("CI_SERVER_", "VERSION VERSION_MAJOR VERSION_MINOR VERSION_PATCH", RULES),
    **_names("GITLAB_USER_", "EMAIL ID LOGIN NAME", RULES),
    **_names("CI_MERGE_REQUEST_", "DIFF_BASE_SHA DIFF_ID EVENT_TYPE ID IID REF_PATH TITLE", _REQUESTS),
    **_names("CI_MERGE_REQUEST_", "DESCRIPTION DESCRIPTION_IS_TRUNCATED DRAFT SQUASH_ON_MERGE", _REQUESTS),
    **_names("CI_MERGE_REQUEST_", "PROJECT_ID PROJECT_PATH PROJECT_URL", _REQUESTS),
    **_names("CI_MERGE_REQUEST_", "SOURCE_PROJECT_ID SOURCE_PROJECT_PATH SOURCE_PROJECT_URL", _REQUESTS),
    **_names("CI_MERGE_REQUEST_", "SOURCE_BRANCH_NAME SOURCE_BRANCH_PROTECTED", _REQUESTS),
    **_names("CI_MERGE_REQUEST_", "TARGET_BRANCH_NAME TARGET_BRANCH_PROTECTED", _REQUESTS),
    **_names(
        "CI_MERGE_REQUEST_", "SOURCE_BRANCH_SHA TARGET_BRANCH_SHA", "empty, as in pipelines without merged results"
    ),
    "CI_MERGE_REQUEST_APPROVED": "in merge request pipelines on Premium, if it is; rules see it",
    "CI_MERGE_REQUEST_LABELS": f"in merge request pipelines, {_PART}",
    **_names("CI_", "BUILDS_DIR PROJECT_DIR CONCURRENT_ID CONCURRENT_PROJECT_ID REPOSITORY_URL SERVER", JOBS),
    **_names("CI_JOB_", "ID STARTED_AT STARTED_AT_SLUG STATUS TAGS TIMEOUT TOKEN URL", JOBS),
    "CI_JOB_MANUAL": "only manual jobs have it",
    **_names("CI_", "PIPELINE_ID PIPELINE_URL RUNNER_DESCRIPTION RUNNER_ID RUNNER_TAGS SHARED_ENVIRONMENT", JOBS),
    "CI_SERVER_TLS_CA_FILE": f"{JOBS}; empty",
    **_names("CI_ENVIRONMENT_", "ACTION ID NAME SLUG TIER URL", "only jobs with an environment have it"),
    **_names("CHAT_", "CHANNEL INPUT USER_ID", f"{NEVER}no chat starts a pipeline"),
    "CI_API_GRAPHQL_URL": f"{NEVER}there is no GraphQL API",
    **_names("CI_", "BUILD_NETWORK_NAME DISPOSABLE_ENVIRONMENT JOB_IMAGE", f"{NEVER}no container starts"),
    "CI_COMMIT_DEFAULT_BRANCH_BASE_SHA": f"{NEVER}write `git merge-base`",
    "CI_COMMIT_USER_LOGIN": f"{NEVER}no profile shows an e-mail address",
    "CI_CONFIG_REF_URI": f"{NEVER}an ID token has it as the claim `ci_config_ref_uri`",
    **_names("CI_DEBUG_", "SERVICES TRACE", f"{NEVER}a variable of this name has no effect"),
    **_names(
        "CI_DEPENDENCY_PROXY_",
        "DIRECT_GROUP_IMAGE_PREFIX GROUP_IMAGE_PREFIX PASSWORD SERVER USER",
        f"{NEVER}there is no dependency proxy",
    ),
    "CI_DEPLOY_FREEZE": f"{NEVER}there are no deploy freezes",
    **_names("CI_DEPLOY_", "PASSWORD USER", f"{NEVER}there are no deploy tokens"),
    "CI_GITLAB_FIPS_MODE": f"{NEVER}there is no FIPS mode",
    "CI_HAS_OPEN_REQUIREMENTS": f"{NEVER}there are no requirements",
    **_names("", "CI_KUBERNETES_ACTIVE KUBECONFIG", f"{NEVER}there is no cluster"),
    "CI_NODE_INDEX": f"{NEVER}no job is multiplied",
    **_names("CI_PAGES_", "DOMAIN HOSTNAME URL", f"{NEVER}nothing is published"),
    "CI_PIPELINE_NAME": f"{NEVER}a pipeline has no name",
    **_names("", "CI_PIPELINE_TRIGGERED CI_TRIGGER_SHORT_TOKEN TRIGGER_PAYLOAD", f"{NEVER}there are no triggers"),
    "CI_PROJECT_CLASSIFICATION_LABEL": f"{NEVER}there is no external authorization",
    "CI_PROJECT_REPOSITORY_LANGUAGES": f"{NEVER}nothing detects languages",
    **_names("CI_REGISTRY", "_IMAGE _PASSWORD _USER", f"{NEVER}there is no container registry"),
    "CI_REGISTRY": f"{NEVER}there is no container registry",
    "CI_RUNNER_SHORT_TOKEN": f"{NEVER}it is a part of a secret",
    **_names("CI_RUNNER_", "EXECUTABLE_ARCH REVISION VERSION", f"{NEVER}the built-in runner has no version"),
    **_names("CI_SERVER_SHELL_SSH_", "HOST PORT", f"{NEVER}git works over HTTP alone"),
    **_names("CI_SERVER_TLS_", "CERT_FILE KEY_FILE", f"{NEVER}there is no TLS"),
    "CI_TEMPLATE_REGISTRY_HOST": f"{NEVER}there are no templates",
    **_names("CI_TRACE", "PARENT STATE", f"{NEVER}nothing is traced"),
    **_names("CI_UPSTREAM_", "JOB_ID PIPELINE_ID PROJECT_ID", f"{NEVER}no pipeline starts another"),
    **_names("CI_MERGE_REQUEST_", "ASSIGNEES MILESTONE", f"{NEVER}a merge request has none"),
    **_names("CI_EXTERNAL_PULL_REQUEST_", "IID SOURCE_REPOSITORY TARGET_REPOSITORY", f"{NEVER}there are none"),
    **_names("CI_EXTERNAL_PULL_REQUEST_", "SOURCE_BRANCH_NAME SOURCE_BRANCH_SHA", f"{NEVER}there are none"),
    **_names("CI_EXTERNAL_PULL_REQUEST_", "TARGET_BRANCH_NAME TARGET_BRANCH_SHA", f"{NEVER}there are none"),
}
