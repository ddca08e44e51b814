"""The newest checkpoint of each log that this machine has seen."""

from pathlib import Path

import pytest

from factory.errors import InvalidInput
from factory.operations import seen_checkpoint
from tests.evidence import examples


def test_it_is_kept_by_log(tmp_path: Path) -> None:
    kept = seen_checkpoint.folder({"HOME": "/elsewhere", "XDG_STATE_HOME": str(tmp_path)})
    assert seen_checkpoint.read(kept, examples.trust()) is None
    seen_checkpoint.keep(kept, examples.trust(), b"a\nb\n")
    seen_checkpoint.keep(kept, examples.trust(), b"a\nc\n")
    found = seen_checkpoint.read(kept, examples.trust())
    assert found
    assert found.note == "a\nc\n"
    assert found.seen.endswith("Z")


def test_where_nothing_can_be_written_nothing_is_kept(tmp_path: Path) -> None:
    (tmp_path / "factory").write_text("")
    kept = seen_checkpoint.folder({"XDG_STATE_HOME": str(tmp_path)})
    seen_checkpoint.keep(kept, examples.trust(), b"a\n")
    assert seen_checkpoint.read(kept, examples.trust()) is None


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    seen_checkpoint.keep(tmp_path, examples.trust(), b"a\n")
    (file,) = tmp_path.iterdir()
    file.write_text("{")
    with pytest.raises(InvalidInput, match=file.name):
        seen_checkpoint.read(tmp_path, examples.trust())
