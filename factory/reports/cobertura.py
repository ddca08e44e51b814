"""Renders line coverage as Cobertura XML for merge request diffs (GitLab docs: Cobertura coverage report)."""

import re
from collections.abc import Sequence
from pathlib import PurePosixPath
from xml.etree import ElementTree as ET

from factory.model.facts import Coverage

# Characters that XML 1.0 (2.2, Char) does not allow, even escaped.
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

Lines = dict[int, int]


def render(coverage: Coverage, *, root: str) -> str:
    """Return the report; paths are relative to ``root``, the job's ``$CI_PROJECT_DIR``.

    A line that any run executed is covered. Unknown coverage gives a report without files, which GitLab shows as no
    coverage information. The attributes are those of coverage-04.dtd; times are left out, so that equal coverage gives
    equal text.
    """
    files = _hits(coverage)
    report = ET.Element("coverage", {**_totals(list(files.values())), "version": "factory", "timestamp": "0"})
    ET.SubElement(ET.SubElement(report, "sources"), "source").text = _xml(root)
    packages = ET.SubElement(report, "packages")
    for folder in sorted({_folder(path) for path in files}):
        mine = {path: hits for path, hits in files.items() if _folder(path) == folder}
        package = ET.SubElement(packages, "package", {"name": _xml(folder), **_rates(list(mine.values()))})
        classes = ET.SubElement(package, "classes")
        for path in sorted(mine):
            _class(classes, path, mine[path])
    ET.indent(report, " ")
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(report, encoding="unicode") + "\n"


def _hits(coverage: Coverage) -> dict[str, Lines]:
    files: dict[str, Lines] = {}
    for measured, hits in ((coverage.missing, 0), (coverage.executed, 1)):
        for path, numbers in measured:
            files.setdefault(path.removeprefix("./"), {}).update(dict.fromkeys(numbers, hits))
    return files


def _class(classes: ET.Element, path: str, hits: Lines) -> None:
    name = PurePosixPath(path).name
    item = ET.SubElement(classes, "class", {"name": _xml(name), "filename": _xml(path), **_rates([hits])})
    ET.SubElement(item, "methods")
    lines = ET.SubElement(item, "lines")
    for number in sorted(hits):
        ET.SubElement(lines, "line", {"number": str(number), "hits": str(hits[number])})


def _totals(files: Sequence[Lines]) -> dict[str, str]:
    return {
        **_rates(files),
        "lines-covered": str(_covered(files)),
        "lines-valid": str(_valid(files)),
        "branches-covered": "0",
        "branches-valid": "0",
    }


def _rates(files: Sequence[Lines]) -> dict[str, str]:
    rate = _covered(files) / _valid(files) if _valid(files) else 0.0
    return {"line-rate": f"{rate:.4f}", "branch-rate": "0", "complexity": "0"}


def _covered(files: Sequence[Lines]) -> int:
    return sum(sum(hits.values()) for hits in files)


def _valid(files: Sequence[Lines]) -> int:
    return sum(len(hits) for hits in files)


def _folder(path: str) -> str:
    return str(PurePosixPath(path).parent)


def _xml(text: str) -> str:
    return _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", text)
