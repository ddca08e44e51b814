"""Addresses of environments."""

from typing import Any

import pytest

from tests.servers import LocalGitlab, wait_for

DEFINITION = """
deploy:
  script: ['echo "PORT=81" > port.env', 'echo "WHERE=$CI_ENVIRONMENT_SLUG" >> port.env']
  variables: {HOST: localhost}
  environment: {name: review/one, url: "http://$HOST:$PORT/$CI_ENVIRONMENT_SLUG/$WHERE"}
  artifacts: {reports: {dotenv: port.env}}
"""


@pytest.mark.long
def test_the_address_has_the_variables_of_the_jobs_report(gitlab_server: LocalGitlab) -> None:
    project = gitlab_server.project({".gitlab-ci.yml": DEFINITION})

    def done() -> Any:
        return [item for item in project.pipelines.list(get_all=True) if item.status == "success"]

    wait_for(done)
    (environment,) = project.environments.list(get_all=True)
    assert environment.external_url == "http://localhost:81/review-one-sbi7zf/review-one-sbi7zf"
