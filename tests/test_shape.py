"""The shape of the code: sizes, doors and edges that reviews would otherwise have to watch."""

import ast
import re
import tomllib
from collections.abc import Collection, Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MODULES = sorted((ROOT / "factory").rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("test_*.py"))
# Functions of other modules that fail a test: they wait for what must become true, or validate.
ASSERTING = frozenset({"wait_for", "validate", "must_fail", "becomes"})

# Each exception says why it stands.
LONG_MODULES = {
    "factory/evidence/predicates.py": "one table of forms",
    "factory/system/process.py": "the one door to other programs",
    "factory/workflow/ship.py": "the steps of one workflow, read from top to bottom",
    "factory/local_gitlab/runner/api.py": "one protocol",
}
LONGEST_MODULE, LONGEST_FUNCTION, LARGEST_FOLDER = 300, 60, 20
LARGE_FOLDERS: dict[str, str] = {}
# Folders of tests that mirror no folder of the product, and why.
OWN_FOLDERS = {
    "outside": "runs test suites that others wrote for GitLab",
    "bench": "targets of speed",
    "soak": "what takes longer than the long tests",
    "outside/recorder": "a folder for PYTHONPATH",
    "local_gitlab/contract": "holds the whole server against its OpenAPI description",
    "workflow/recorded": "answers of GitLab, which recorded_gitlab reads",
    "scripts": "mirrors scripts/, which lies beside the package",
}

# One door to each outside thing: the library, and the only places that may import it.
DOORS = {
    "subprocess": ("factory/system/process.py",),
    # It starts in every sandbox, and the modules socket and signal start slowly.
    "_socket": ("factory/sandbox/relay.py",),
    "_signal": ("factory/sandbox/relay.py",),
    "ssl": ("factory/sandbox/egress_exchange.py",),
    "click": ("factory/cli/",),
    "gitlab": ("factory/gitlab/",),
    "hvac": ("factory/secrets/openbao.py", "factory/secrets/openbao_wire.py"),
    "jwt": ("factory/local_gitlab/ci/oidc.py",),
    "git": ("factory/worktrees/",),
    "jinja2": ("factory/system/templates.py",),
    "yaml": ("factory/system/strict_yaml.py",),
    "requests": ("factory/system/http.py", "factory/gitlab/"),
    "cronsim": ("factory/local_gitlab/ci/schedules.py",),
    "dbos": ("factory/workflow/durable_steps.py",),
    "acp": ("factory/agents/",),
    "aiohttp": (
        "factory/local_gitlab/",
        "factory/local_cloudflare/",
        "factory/local_model/",
        "factory/system/loopback.py",
        "factory/apps/static_site.py",
    ),
    "securesystemslib": ("factory/evidence/sign.py",),
    "python_terraform": ("factory/terraform/",),
    "hcl2": ("factory/system/hcl.py",),
    "pydantic": ("factory/policies/", "factory/system/data.py"),
    "sqlite3": (
        "factory/local_gitlab/serving/store.py",
        "factory/local_cloudflare/store.py",
        "factory/apps/state_copy.py",
    ),
    "tf": ("factory/local_cloudflare/",),
}
ENVIRONMENT = ("factory/cli/environment.py", "factory/local_cloudflare/provider/mirror.py")


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@cache
def parsed(path: Path) -> ast.AST:
    return ast.parse(path.read_text())


def imports(tree: ast.AST) -> Iterator[tuple[str, int]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name.split(".")[0], node.col_offset) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.split(".")[0], node.col_offset


def test_sizes() -> None:
    for path in MODULES:
        lines = path.read_text().splitlines()
        if name_of(path) not in LONG_MODULES:
            assert len(lines) <= LONGEST_MODULE, name_of(path)
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                assert (node.end_lineno or 0) - node.lineno < LONGEST_FUNCTION, f"{name_of(path)}: {node.name}"


def test_doors() -> None:
    for path in MODULES:
        for library, _ in imports(parsed(path)):
            if library in DOORS:
                assert name_of(path).startswith(DOORS[library]), f"{name_of(path)}: {library} has its own door"


def test_every_door_exists() -> None:
    places = [place for doors in DOORS.values() for place in doors]
    assert [place for place in (*places, *ENVIRONMENT, *LONG_MODULES) if not (ROOT / place).exists()] == []


def test_the_environment_is_read_in_one_place() -> None:
    for path in MODULES:
        if name_of(path) not in ENVIRONMENT:
            assert "os.environ" not in path.read_text(), name_of(path)
            assert "os.getenv" not in path.read_text(), name_of(path)


def test_no_broad_except() -> None:
    for path in MODULES:
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.ExceptHandler):
                names = {item.id for item in ast.walk(node.type) if isinstance(item, ast.Name)} if node.type else {""}
                reraises = any(isinstance(item, ast.Raise) and item.exc is None for item in ast.walk(node))
                assert not (names & {"", "Exception", "BaseException"}) or reraises, name_of(path)
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("suppress"):
                assert not {ast.unparse(item) for item in node.args} & {"Exception", "BaseException"}, name_of(path)


def test_deferred_imports_say_why() -> None:
    for path in MODULES:
        for number, line in enumerate(path.read_text().splitlines(), 1):
            if line.startswith(" ") and line.strip().startswith(("import ", "from ")) and "noqa: PLC0415" not in line:
                found = ast.walk(parsed(path))
                deferred = {n.lineno for n in found if isinstance(n, ast.Import | ast.ImportFrom) and n.col_offset}
                assert number not in deferred - for_types_alone(parsed(path)), name_of(path)


def for_types_alone(tree: ast.AST) -> set[int]:
    """Return the lines of imports that no running program makes."""
    blocks = [n for n in ast.walk(tree) if isinstance(n, ast.If) and ast.unparse(n.test) == "TYPE_CHECKING"]
    return {item.lineno for block in blocks for item in block.body}


def test_a_module_that_may_use_any_does() -> None:
    overrides = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["mypy"]["overrides"]
    (named,) = [item["module"] for item in overrides if item.get("disallow_any_explicit") is False]
    assert named == sorted(named)
    for name in named:
        path = ROOT / name.replace(".", "/")
        path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        found = re.search(r"\b(Any|BaseModel|Strict)\b|\[\.\.\.", path.read_text())
        assert found, f"{name} needs no exception any more"


def test_every_test_asserts() -> None:
    for path in TESTS:
        functions = [
            node for node in ast.walk(parsed(path)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        ]
        asserting: set[str] = set()
        while more := {node.name for node in functions if _asserts(node, asserting | ASSERTING)} - asserting:
            asserting |= more
        for node in functions:
            if node.name.startswith("test_"):
                assert node.name in asserting, f"{name_of(path)}: {node.name} (line {node.lineno}) asserts nothing"


def _asserts(function: ast.AST, helpers: Collection[str]) -> bool:
    """Return whether a function asserts, expects an error, or calls a function that does."""
    for node in ast.walk(function):
        if isinstance(node, ast.Assert):
            return True
        if isinstance(node, ast.Call):
            name = getattr(node.func, "id", getattr(node.func, "attr", ""))
            if name in {"raises", "warns"} or name in helpers or name.startswith("assert_"):
                return True
    return False


def test_every_test_folder_mirrors_one_of_the_product() -> None:
    folders = {path.relative_to(ROOT / "tests").as_posix() for path in (ROOT / "tests").rglob("*") if is_source(path)}
    product = {path.relative_to(ROOT / "factory").as_posix() for path in (ROOT / "factory").rglob("*")}
    assert folders - OWN_FOLDERS.keys() <= product


def is_source(folder: Path) -> bool:
    return folder.is_dir() and folder.name != "__pycache__"


@pytest.mark.parametrize("top", ["factory", "tests"])
def test_no_folder_is_too_large(top: str) -> None:
    for folder in (ROOT / top, *filter(is_source, (ROOT / top).rglob("*"))):
        modules = [path for path in folder.glob("*.py") if path.name != "__init__.py"]
        assert len(modules) <= LARGEST_FOLDER or name_of(folder) in LARGE_FOLDERS, folder


def test_every_folder_of_tests_is_a_package() -> None:
    for folder in (ROOT / "tests").rglob("*"):
        if any(folder.glob("*.py")):
            assert (folder / "__init__.py").exists(), folder


def test_top_level_is_fixed() -> None:
    allowed = {
        "pyproject.toml", "factory", "terraform", "runbooks", "specs", "policies", "scripts", "apps", "tests",
        "README.md", "Makefile", "LICENSE", "CHANGELOG.md", "AGENTS.md", "docs", "dist",
    }  # fmt: skip
    found = {path.name for path in ROOT.iterdir() if not path.name.startswith(".")}
    extra = {name for name in found - allowed if not name.endswith((".lock", ".egg-info"))}
    assert not extra


def test_agents_page_is_short() -> None:
    assert len((ROOT / "AGENTS.md").read_text().splitlines()) <= 60


def test_decisions_are_one_page() -> None:
    for page in (ROOT / "docs/decisions").glob("*.md"):
        assert len(page.read_text().splitlines()) <= 80, page.name


def test_runtime_packages_are_locked() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for lock in ("requirements.lock", "factory/defaults/requirements.lock"):
        locked = "\n" + (ROOT / lock).read_text().lower().replace("_", "-")
        for requirement in project["dependencies"]:
            name = requirement.split(">")[0].split("<")[0].split("=")[0].lower()
            assert f"\n{name}==" in locked, requirement
