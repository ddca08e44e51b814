"""The files of an app in a folder, and the first lines of a file that it lacks."""

from pathlib import Path

from factory.apps.detection.detect import detect
from factory.operations.repository import app_source

FILES = {"shop.py": b"", "Dockerfile": b'FROM python:3.12\nEXPOSE 80\nCMD ["flask", "run", "--port", "80"]\n'}
RUN = b'run: ["flask", "run", "--port", "$PORT"]  # Dockerfile\n'


def test_a_folder_that_leads_elsewhere_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("FROM python:3.9\n")
    (tmp_path / "app").mkdir()
    (tmp_path / "app/Dockerfile").symlink_to("../secret")
    (tmp_path / "app/.python-version").write_text("3.12\n")
    said = app_source.detected(tmp_path / "app")
    assert [clue.text for clue in said.clues] == ["3.12"]
    assert app_source.detected(tmp_path / "none").lines() == []


def test_a_draft_is_written_only_if_it_completes_the_app() -> None:
    def drafted(files: dict[str, bytes]) -> bytes:
        return app_source.drafted("shop", files, files.__getitem__, detect(files, files.__getitem__))

    assert RUN in drafted(FILES)
    assert drafted({**FILES, "requirements.txt": b"flask\n"}) == b""  # no lock with hashes
    assert drafted({"src/__main__.py": b""}) == b""
