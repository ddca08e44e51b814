"""Cobertura: XML that parses, hits by line, paths relative to the job's folder."""

from xml.etree import ElementTree as ET

from hypothesis import given
from hypothesis import strategies as st

from factory.model.facts import Coverage
from factory.reports import cobertura

COVERAGE = Coverage(
    executed=(("apps/hello/src/hello.py", (3, 1)), ("./apps/hello/src/app.py", (1,))),
    missing=(("apps/hello/src/hello.py", (7, 3)), ("main.py", (2,))),
)


def parsed(coverage: Coverage, root: str = "/builds/group/project") -> "ET.Element":
    return ET.fromstring(cobertura.render(coverage, root=root))


def test_lines_carry_hits_and_a_line_that_some_run_executed_is_covered() -> None:
    report = parsed(COVERAGE)
    hits = {
        item.get("filename"): [(line.get("number"), line.get("hits")) for line in item.iterfind("lines/line")]
        for item in report.iterfind("packages/package/classes/class")
    }
    assert hits == {
        "apps/hello/src/app.py": [("1", "1")],
        "apps/hello/src/hello.py": [("1", "1"), ("3", "1"), ("7", "0")],
        "main.py": [("2", "0")],
    }


def test_files_are_grouped_by_folder_below_one_source() -> None:
    report = parsed(COVERAGE)
    assert [source.text for source in report.iterfind("sources/source")] == ["/builds/group/project"]
    assert [package.get("name") for package in report.iterfind("packages/package")] == [".", "apps/hello/src"]


def test_rates_count_lines() -> None:
    report = parsed(COVERAGE)
    assert (report.get("lines-covered"), report.get("lines-valid"), report.get("line-rate")) == ("3", "5", "0.6000")
    required = {"line-rate", "branch-rate", "lines-covered", "lines-valid", "branches-covered", "branches-valid"}
    assert required | {"complexity", "version", "timestamp"} == set(report.attrib)


def test_unknown_coverage_is_a_report_without_files() -> None:
    report = parsed(Coverage(problem="the tests were not run"))
    assert report.get("line-rate") == "0.0000"
    assert not list(report.iter("class"))


def test_order_of_facts_does_not_matter() -> None:
    turned = Coverage(tuple(reversed(COVERAGE.executed)), tuple(reversed(COVERAGE.missing)))
    assert cobertura.render(turned, root=".") == cobertura.render(COVERAGE, root=".")


@given(path=st.text(st.characters(), min_size=1), root=st.text(st.characters()))
def test_any_path_gives_xml(path: str, root: str) -> None:
    report = parsed(Coverage(executed=((path, (1,)),)), root)
    assert len(list(report.iter("line"))) == 1
