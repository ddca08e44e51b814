"""Protection of a default branch when it is created, as the instance's settings say (docs: Default branch)."""

from factory.local_gitlab.projects import application_settings
from factory.local_gitlab.refs import protected_branches
from factory.local_gitlab.serving.call import DEVELOPER, MAINTAINER
from factory.local_gitlab.serving.store import Document, Store

# The least role for pushes and for merges by the value of `default_branch_protection`; 0 protects nothing.
_LEAST = {1: (DEVELOPER, DEVELOPER), 2: (MAINTAINER, MAINTAINER), 3: (MAINTAINER, DEVELOPER)}


def protect(store: Store, project: Document) -> None:
    """Protect a project's default branch, which is new, unless a rule covers it already."""
    least = _LEAST.get(application_settings.current(store)["default_branch_protection"])
    name = project["default_branch"]
    if least and not protected_branches.protection(store, project, name):
        protected_branches.add(store, project, name, push=least[0], merge=least[1])
