"""What the gate takes of the artifacts of jobs that ran a change's code: only their own claims, within bounds."""

import io
import zipfile
from pathlib import Path

import pytest

from factory.errors import InvalidInput
from factory.operations.collect import claims
from factory.operations.collect.origin import VARIABLE
from factory.operations.repository import pipeline_template
from tests.servers import ROOT, LocalGitlab, wait_for

LINK = 0o120777 << 16
UNIT = ".factory/claims/unit/"


def archive(*items: tuple[str, bytes], mode: int = 0) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as made:
        for name, data in items:
            item = zipfile.ZipInfo(name)
            item.external_attr = mode
            made.writestr(item, data, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def written(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_a_jobs_claims_are_written(tmp_path: Path) -> None:
    claims.unpack(archive((UNIT + "junit.xml", b"<x/>"), (UNIT + "more/log.txt", b"y")), "unit", tmp_path)
    assert written(tmp_path) == ["unit/junit.xml", "unit/more/log.txt"]
    assert (tmp_path / "unit/junit.xml").read_bytes() == b"<x/>"


@pytest.mark.parametrize(
    ("name", "mode"),
    [
        (".git/config", 0),
        ("apps/hello/src/hello.py", 0),
        (".factory/facts/facts.json", 0),
        (".factory/claims", 0),
        (".factory/claims/unit", 0),
        (".factory/claims/contract/junit.xml", 0),
        (".factory/claims/performance/times.json", 0),
        (".factory/claims/../../.git/config", 0),
        (UNIT + "../contract/junit.xml", 0),
        ("../outside", 0),
        ("/etc/outside", 0),
        (UNIT, 0),
        (UNIT + "link", LINK),
        (UNIT + "device", 0o020600 << 16),
    ],
)
def test_nothing_else_of_its_artifacts_is_written(tmp_path: Path, name: str, mode: int) -> None:
    out = tmp_path / "a/b/claims"
    out.mkdir(parents=True)
    claims.unpack(archive((name, b"target"), mode=mode), "unit", out)
    assert written(tmp_path) == []
    assert not list(out.iterdir())


def damaged(compression: int) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as made:
        made.writestr(UNIT + "a", b"content " * 99)
    data = buffer.getvalue()
    return data[:60] + bytes(20) + data[80:]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        *((damaged(kind), "not an archive") for kind in (zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)),
        (archive((UNIT + "a", b""), (UNIT + "a/b", b"")), "not an archive"),
        (archive((UNIT + "n" * 300, b"")), "not an archive"),
        (archive((UNIT + "nul\0", b""), (UNIT + "nul/x", b"")), "not an archive"),
        (b"", "not an archive"),
        (b"no archive", "not an archive"),
        (archive((UNIT + "a", b"content " * 99))[:-40], "not an archive"),
        (
            archive((UNIT + "a", b"content")).replace(
                b"PK\x01\x02\x14\x03\x14\x00\x00", b"PK\x01\x02\x14\x03\x14\x00\x01"
            ),
            "enc",
        ),
        (archive(*((f"{UNIT}{number}", b"") for number in range(5_001))), "more than 5000 files"),
        (archive((UNIT + "zeros", bytes(101 * 2**20))), "more than 104857600 bytes"),
        (archive(*((f"{UNIT}{number}", bytes(11 * 2**20)) for number in range(10))), "more than 104857600 bytes"),
    ],
)
def test_an_archive_that_cannot_be_read_or_is_too_large_is_refused(tmp_path: Path, data: bytes, said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        claims.unpack(data, "unit", tmp_path)


def test_without_the_judges_token_the_results_are_missing_and_it_says_why(tmp_path: Path) -> None:
    left = tmp_path / "claims/unit/junit.xml"
    left.parent.mkdir(parents=True)
    left.write_text("left by an earlier job")
    said = claims.fetch({"CI": "true", "CI_PIPELINE_ID": "1"}, tmp_path / "claims")
    assert (
        said == "the results of unit and contract cannot be read: this job has no FACTORY_TOKEN_JUDGE (docs/gates.md)"
    )
    assert not left.exists()


OWN = "stages: [test]\na: {script: [CODE]}\nb: {script: [exit 1], allow_failure: true}\n"


@pytest.mark.parametrize(
    ("code", "status", "failed"),
    [pytest.param("echo a", "success", (), id="passes"), pytest.param("exit 3", "failed", ("a",), id="fails")],
)
def test_the_shipped_job_runs_the_repositorys_pipeline(
    gitlab_server: LocalGitlab, code: str, status: str, failed: tuple[str, ...]
) -> None:
    derived = pipeline_template.with_own_pipeline((ROOT / "factory/defaults/pipeline.yml").read_bytes()).decode()
    assert "- {job: own-pipeline, artifacts: false}" in derived
    job = "own-pipeline:" + derived.partition("own-pipeline:")[2].partition("\n\n")[0]
    files = {
        "ci.yml": f"stages: [test]\nfirst: {{script: [echo x]}}\n{job}\n",
        ".gitlab/factory/child.yml": (ROOT / "factory/defaults/repository/child.yml").read_text(),
        ".gitlab-ci.yml": OWN.replace("CODE", code),
    }
    project = gitlab_server.project(files, ci_config_path="ci.yml")

    def over() -> int | None:
        found = project.pipelines.list(get_all=True)
        return found[0].id if found and found[0].status == "success" else None

    given = {
        VARIABLE: gitlab_server.root_token,
        "CI_SERVER_URL": gitlab_server.url,
        "CI_PROJECT_PATH": project.path_with_namespace,
        "CI_PIPELINE_ID": str(wait_for(over)),
    }
    found = claims.child_pipeline(given)
    assert (found.status, found.failed, found.problem) == (status, failed, "")
    assert "/-/pipelines/" in found.url
    assert "has no FACTORY" in claims.child_pipeline({}).problem
    assert claims.child_pipeline(given | {"CI_PIPELINE_ID": "99999"}).problem
