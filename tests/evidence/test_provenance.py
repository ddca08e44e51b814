"""Builds as SLSA provenance, and the bill of materials that follows from one."""

import json

import pytest

from factory.errors import InvalidInput
from factory.evidence import provenance, transparency_log
from factory.evidence.provenance import Package
from tests.evidence.examples import commit, digest, make, recorded, report, statements

TREE = recorded([*statements(), make("build")])
(BUILD,) = [entry for entry in transparency_log.read(TREE) if entry.kind == "build"]


def test_both_verifiers_accept_a_build() -> None:
    found = report(TREE)
    assert (found.findings, found.complete) == ((), True)


@pytest.mark.parametrize(
    ("package", "purl"),
    [
        (Package("pypi", "flask", "==3.0.1", pinned=True), "pkg:pypi/flask@3.0.1"),
        (Package("pypi", "httpx", ">=0.27", pinned=False), "pkg:pypi/httpx"),
        (Package("npm", "@scope/left-pad", "1.3.0", pinned=True), "pkg:npm/%40scope/left-pad@1.3.0"),
        (Package("pypi", "--index-url https://x.test", "", pinned=False), "pkg:pypi/--index-url%20https%3A//x.test"),
    ],
)
def test_a_package_has_the_url_of_its_exact_version(package: Package, purl: str) -> None:
    assert package.purl == purl


def test_the_provenance_names_source_job_and_packages() -> None:
    definition = BUILD.predicate["buildDefinition"]
    source, *packages = definition["resolvedDependencies"]
    assert source == {
        "uri": "git+https://gitlab.example/factory/shop@refs/heads/main",
        "digest": {"gitCommit": commit("merge 12")},
    }
    assert [item["name"] for item in packages] == ["@scope/left-pad 1.3.0", "flask ==3.0.1", "httpx >=0.27"]
    assert BUILD.predicate["runDetails"]["metadata"]["invocationId"].endswith("/factory/shop/-/jobs/90")


def test_the_bill_of_materials_names_the_archive_and_each_package() -> None:
    document = json.loads(provenance.bill_of_materials(BUILD))
    assert (document["bomFormat"], document["specVersion"]) == ("CycloneDX", "1.6")
    assert document["metadata"]["component"]["hashes"] == [{"alg": "SHA-256", "content": digest("archive")[7:]}]
    assert {(item["name"], item.get("version")) for item in document["components"]} == {
        ("flask", "3.0.1"),
        ("httpx", None),
        ("@scope/left-pad", "1.3.0"),
    }
    [links] = document["dependencies"]
    assert links["dependsOn"] == [item["purl"] for item in document["components"]]


def test_the_same_build_gives_the_same_bytes() -> None:
    assert provenance.bill_of_materials(BUILD) == provenance.bill_of_materials(BUILD)


@pytest.mark.parametrize(
    "dependency", [{"uri": "x"}, {"uri": "x", "digest": {"sha256": "0"}}, {"name": "x", "uri": ""}, "pkg:pypi/x"]
)
def test_a_malformed_dependency_is_refused(dependency: object) -> None:
    definition = {**BUILD.predicate["buildDefinition"], "resolvedDependencies": [dependency]}
    with pytest.raises(InvalidInput):
        make("build", {"buildDefinition": definition})
