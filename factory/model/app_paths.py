"""Which files of a control repository belong to its apps, and which of them are an app's code and tests."""

from dataclasses import dataclass

APPS = "apps/"
# Folders of the factory beside an app whose folder is the repository.
_BESIDE = ("policies/", "specs/", "terraform/", "runbooks/", ".gitlab/", ".factory/", ".agents/", ".claude/")
# Folders of tests, beside or inside an app's code.
TESTS = {"tests", "test"}


@dataclass(frozen=True)
class AppPaths:
    """The apps of a repository: each folder below ``apps/``, or the repository itself as the one app ``root``.

    ``sources`` are the folders and files with the code of the app ``root``; the code of other apps is in their ``src``.
    """

    root: str = ""
    sources: tuple[str, ...] = ()

    @property
    def folder(self) -> str:
        """Return the prefix of all apps' paths: ``apps/``, or nothing."""
        return "" if self.root else APPS

    def owns(self, path: str) -> bool:
        """Return whether a file belongs to an app."""
        return not path.startswith(_BESIDE) if self.root else path.startswith(APPS)

    def app_of(self, path: str) -> str:
        """Return the app that a file belongs to, or an empty text."""
        if not self.owns(path):
            return ""
        return self.root or (path.split("/")[1] if path.count("/") > 1 else "")

    def below(self, app: str) -> str:
        """Return the prefix of an app's paths."""
        return "" if self.root else f"{APPS}{app}/"

    def code_of(self, path: str) -> str:
        """Return the folder or file of an app's code that has a file, such as ``apps/shop/src``; empty if none has."""
        if not self.owns(path):
            return ""
        if not self.root:
            app, sign, _ = path.partition("/src/")
            return f"{app}/src" if sign else ""
        if TESTS & set(path.split("/")[:-1]) or path.endswith("conftest.py") or named_as_test(path):
            return ""
        found = [item for item in self.sources if item in {".", path} or path.startswith(f"{item}/")]
        return found[0] if found else ""

    def is_code(self, path: str) -> bool:
        """Return whether a file is an app's code, without its tests."""
        return bool(self.code_of(path))

    def is_test(self, path: str) -> bool:
        """Return whether pytest collects an app's file by its name."""
        return self.owns(path) and named_as_test(path)


def named_as_test(path: str) -> bool:
    """Return whether pytest collects a file by its name."""
    name = path.rsplit("/", 1)[-1]
    return name.endswith(".py") and (name.startswith("test_") or name.endswith("_test.py"))


FOLDERS = AppPaths()
