"""Every command that reads the repository does the same in each folder; paths are relative to it."""

from pathlib import Path

import pytest

from tests.cli import command_line
from tests.instances import Instance, make_instance
from tests.servers import git

# Below `factory` are Python packages named policies and specs.
FOLDERS = ("factory", "apps/hello/src")


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Instance:
    made = make_instance(tmp_path_factory.mktemp("subfolders"))
    (made.clone / ".git/info/exclude").write_text(".venv\n.tools\n.factory\nplan.json\njunit.xml\n")
    (made.clone / "plan.json").write_text('{"format_version": "1.2"}')
    (made.clone / "junit.xml").write_text("<testsuites/>")
    git("checkout", "-qb", "change", cwd=made.clone)
    return made


@pytest.mark.matrix(6)
@pytest.mark.parametrize("folder", FOLDERS)
@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("config", 0),
        ("policy check", 0),
        ("policy check --judge {root}", 0),
        ("policy test", 0),
        ("policy explain {root}/apps/hello/src/hello.py", 0),
        ("policy explain {root}/specs/hello.md", 5),
        ("policy explain --plan {root}/plan.json", 0),
        ("spec list", 0),
        ("spec show hello", 0),
        ("spec lint", 0),
        ("spec lint {root}/specs", 0),
        ("spec lint {root}/specs/hello.md", 0),
        ("spec trace hello", 6),
        ("spec trace hello --junit {root}/junit.xml", 6),
        ("gate check --base main", 0),
        ("gate check --base main --judge {root}", 0),
        ("gate run --where pipeline", 6),
        ("gate challenge {root}/apps/none", 4),
        ("infra verify --stack production", 0),
        ("infra verify --stack production --judge {root}", 0),
        ("eval {root}/apps/none", 3),
        ("why {root}/specs/hello.md:1", 4),
    ],
)
def test_a_command_does_the_same_in_every_folder(clone: Instance, folder: str, line: str, code: int) -> None:
    up = "/".join(".." for _ in Path(folder).parts)
    there, here = (
        command_line.run(line.format(root=root).split(), cwd=clone.clone / place, env=clone.env())
        for place, root in ((".", "."), (folder, up))
    )
    assert (here.returncode, here.stdout, here.stderr) == (there.returncode, there.stdout, there.stderr)
    assert here.returncode == code, here.stderr
    assert not (clone.clone / folder / ".factory").exists()


def test_a_new_spec_is_written_to_the_repository(clone: Instance) -> None:
    options = ["--title", "A page", "--owner", "@ada"]
    done = command_line.run(["spec", "new", "page", *options], cwd=clone.clone / "factory", env=clone.env())
    assert done.returncode == 0, done.stderr
    assert (clone.clone / "specs/page.md").is_file()
    (clone.clone / "specs/page.md").unlink()
