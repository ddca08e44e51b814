"""Renders GitLab's job annotations: links next to a job's log (GitLab docs: CI/CD artifacts reports types)."""

import json
from collections.abc import Mapping

from factory.errors import InvalidInput

_SECTION = "Factory"


def render(links: Mapping[str, str]) -> str:
    """Return the report with the links in their order; ``links`` maps labels to URLs.

    Raises ``InvalidInput`` for a URL that is not http or https, because GitLab rejects the whole report for one bad
    link, and people click the links.
    """
    for label, url in links.items():
        if not url.startswith(("https://", "http://")):
            raise InvalidInput(f"link {label}: {url} is not an http or https URL")
    shown = [{"external_link": {"label": label, "url": url}} for label, url in links.items()]
    return json.dumps({_SECTION: shown}, indent=1)
