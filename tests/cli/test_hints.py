"""Commands that the command line names: they name the instance of the command that printed them."""

from pathlib import Path

import pytest

from tests.instances import make_instance

OTHER = {"FACTORY_INSTANCE": "other"}


@pytest.mark.parametrize(
    ("arguments", "env", "told"),
    [
        (["status"], {}, "  next: Start them with `factory up`."),
        (["--instance", "default", "status"], {}, "  next: Start them with `factory up`."),
        (
            ["--instance", "other", "status"],
            {},
            "  next: Start them with `factory --instance other up`.",
        ),
        (["status"], OTHER, "  next: Start them with `factory --instance other up`."),
        # Commands that read no instance, a group that tells its errors itself, and a table without rows.
        (["--instance", "other", "spec", "show", "x"], {}, "List the specs with `factory --instance other spec list`."),
        (["--instance", "other", "gitlab", "plan"], {}, "with `factory --instance other up`."),
        (["--instance", "other", "spec", "list"], {}, "write one with `factory --instance other spec new`"),
    ],
)
def test_a_hint_names_the_instance(tmp_path: Path, arguments: list[str], env: dict[str, str], told: str) -> None:
    made = make_instance(tmp_path)
    for path in (made.clone / "specs").iterdir():
        path.unlink()
    done = made.run(*arguments, check=False, **env)
    assert told in f"{done.stdout}\n{done.stderr}"
