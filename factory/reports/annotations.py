"""GitLab's job annotations: links beside a job's log (docs: CI/CD artifacts reports types, annotations)."""

import json
from collections.abc import Mapping

from factory.errors import InvalidInput

_SECTION = "Factory"


def render(links: Mapping[str, str]) -> str:
    """Return the report that shows the links in their order; ``links`` are addresses by label.

    Raises ``InvalidInput`` for an address that is not of the web: GitLab refuses a whole report for one bad link, and
    a person clicks what it shows.
    """
    for label, url in links.items():
        if not url.startswith(("https://", "http://")):
            raise InvalidInput(f"link {label}: {url} is not an address of the web")
    shown = [{"external_link": {"label": label, "url": url}} for label, url in links.items()]
    return json.dumps({_SECTION: shown}, indent=1)
