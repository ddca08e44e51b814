"""The table of keywords, held against GitLab's CI schema, and what a definition with another keyword is told."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from factory.local_gitlab.definition import durations, keyword_table, keywords
from factory.local_gitlab.definition.rules import glob
from factory.system import strict_yaml
from tests.servers import ROOT, TOOL_PATH

PACKAGE = ROOT / ".tools/node_modules/gitlab-ci-local/dist/index.js"


def schema() -> dict[str, Any]:
    """Return GitLab's CI schema, which gitlab-ci-local carries as a literal in its program."""
    text = PACKAGE.read_text()
    start = text.rindex("{", 0, text.index('$id:"https://gitlab.com/.gitlab-ci.yml"'))
    node = shutil.which("node", path=TOOL_PATH)
    assert node
    # The literal ends where its braces are balanced; node reads it, because it is JavaScript.
    program = (
        "const t=require('fs').readFileSync(0,'utf8');let e=1;"
        "for(;;){e=t.indexOf('}',e)+1;try{process.stdout.write(JSON.stringify(eval('('+t.slice(0,e)+')')));break}catch{}}"
    )
    done = subprocess.run([node, "-e", program], input=text[start:], capture_output=True, text=True, check=True)
    return dict(json.loads(done.stdout))


def paths(whole: dict[str, Any], part: Any, above: str, seen: frozenset[str] = frozenset()) -> Iterator[str]:
    """Yield the path of each keyword below a part of the schema; a name that a person chooses is ``*``."""
    if isinstance(part, list):
        for item in part:
            yield from paths(whole, item, above, seen)
    if not isinstance(part, dict):
        return
    if (reference := part.get("$ref")) and reference not in seen:
        found: Any = whole
        for name in reference.removeprefix("#/").split("/"):
            found = found[name]
        yield from paths(whole, found, above, seen | {reference})
    for key in ("oneOf", "anyOf", "allOf", "if", "then", "else", "items"):
        yield from paths(whole, part.get(key), above, seen)
    inner = list(part.get("properties", {}).items())
    inner += [("*", item) for item in part.get("patternProperties", {}).values()]
    inner += [("*", part["additionalProperties"])] if isinstance(part.get("additionalProperties"), dict) else []
    for name, item in inner:
        yield f"{above}.{name}".lstrip(".")
        yield from paths(whole, item, f"{above}.{name}".lstrip("."), seen)


def test_every_keyword_of_gitlabs_schema_is_right_or_refused() -> None:
    whole = schema()
    known = set(paths(whole, whole["definitions"]["job_template"], "job"))
    for name, part in whole["properties"].items():
        known |= {name, *paths(whole, part, name)}
    assert len(known) > 400
    assert sorted(path for path in known if keyword_table.verdict(path) is None) == []
    assert sorted(path for path in keyword_table.TABLE if path not in known) == []


CHILD = "a:\n  trigger: {include: [{project: $CI_PROJECT_PATH, file: a.yml}], strategy: depend}\n"


def problems(text: str) -> list[str]:
    found = keywords.check(strict_yaml.compose(text, source="ci"))
    return [problem.text("ci") for problem in found]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("variables:\n  GIT_STRATEGY: pull\n", "ci:2: `variables:GIT_STRATEGY` has the value 'pull'.*: clone, fetch"),
        (
            "variables:\n  GIT_DEPTH: {value: all}\n",
            "ci:2: `variables:GIT_DEPTH:value` has the value 'all', which is no number",
        ),
        (
            "a:\n  script: [x]\n  variables:\n    GIT_SUBMODULE_STRATEGY: recursive\n",
            "ci:4: `variables:GIT_SUBMODULE_STRATEGY` has the value 'recursive'.*: none",
        ),
        (
            "a:\n  script: [x]\n  rules:\n    - variables: {GIT_CHECKOUT: maybe}\n",
            "ci:4: `rules:variables:GIT_CHECKOUT` has the value 'maybe'.*: true, false",
        ),
        ("variables:\n  GIT_CLONE_PATH: $CI_BUILDS_DIR/x\n", "ci:2: `variables:GIT_CLONE_PATH` is not supported"),
        ("a: {script: [x]}\nb:\n  script: [x]\n  only: [tags]\n", "ci:4: `only` is not supported .*: write `rules`"),
        ("a:\n  script: [x]\n  paralel: 2\n", "ci:3: `paralel` is not a keyword of GitLab"),
        ("a:\n  parallel: {matrix: [{A: [b]}]}\n  script: [x]\n", "ci:2: `parallel` is not supported"),
        (".a:\n  trigger: other\n", "ci:2: `trigger` is supported by the loopback GitLab in one form"),
        ("a:\n  trigger: {include: a.yml, strategy: depend}\n", "ci:2: `trigger` is supported .* in one form"),
        ("a:\n  trigger: {include: [{project: b, file: a.yml}], strategy: depend}\n", "ci:2: `trigger` is supported"),
        ("a:\n  trigger: {include: [{project: $CI_PROJECT_PATH, file: a}]}\n", "ci:2: `trigger` is supported"),
        ("a:\n  trigger: {include: [{project: $CI_PROJECT_PATH, file: $A}], strategy: depend}\n", "ci:2: `trigger`"),
        (CHILD + "  script: [x]\n", "ci:3: `script` does not stand beside `trigger`"),
        (CHILD + "  environment: x\n", "ci:3: `environment` does not stand beside `trigger`"),
        ("a:\n  script: [x]\n  rules:\n    - when: delayed\n", "ci:4: `rules:when` has the value 'delayed'"),
        ("a:\n  script: [x]\n  when: delayed\n  start_in: 5 minutes\n", "ci:3: `when`.*|ci:4: `start_in`.*"),
        ("a:\n  script: [x]\n  rules: [{if: 1 + 1}]\n", "ci:3: `rules:if` cannot read the rule"),
        ("a:\n  script: [x]\n  timeout: soon\n", "ci:3: `timeout` has no duration"),
        ("a:\n  script: [x]\n  interruptible: true\n", "ci:3: `interruptible` is supported as `false` alone"),
        ("a:\n  script: [x]\n  needs: [{pipeline: b, job: c}]\n", "ci:3: `needs:pipeline` is not supported"),
        ("a:\n  script: [x]\n  artifacts: {paths: [$A/b]}\n", "ci:3: `artifacts:paths` takes no variable"),
        ("a:\n  script: [x]\n  environment: {name: b, action: stop}\n", "ci:3: `environment:action`"),
        ("include: ['ci/*.yml']\n", "ci:1: `include` takes the plain name"),
        ("include: [{local: $A.yml}]\n", "ci:1: `include:local` takes the plain name"),
        ("include: https://gitlab.test/a.yml\n", "ci:1: `include` takes files of this project alone"),
        ("include: [{project: a/b, file: c.yml}]\n", "ci:1: `include:(project|file)` is not supported"),
        ("workflow: {rules: [{changes: [a]}]}\n", "ci:1: `workflow:rules:changes` is not supported"),
        ("workflow: {name: a}\n", "ci:1: `workflow:name` is not supported"),
        ("default: {hooks: {pre_get_sources_script: [a]}}\n", "ci:1: `default:hooks` is not supported"),
        ("default:\n  tags: !reference [.a, tags]\n", "ci:2: `default:tags` takes no `!reference`"),
        ("spec: {inputs: {a: {}}}\n", "ci:1: `spec` is not supported"),
        ("pages: {script: [x]}\n", "ci:1: `pages` is not supported"),
        ("script: [x]\n", "ci:1: `script` is neither a keyword nor a job"),
        ("variables: {A: {value: b, options: [b]}}\n", "ci:1: `variables:A:options` is not supported"),
        (".d: &d\n  only: [tags]\na:\n  <<: *d\n  script: [x]\n", "ci:2: `only` is not supported"),
    ],
)
def test_what_is_not_honoured_is_refused_with_its_line(text: str, expected: str) -> None:
    found = problems(text)
    assert found
    assert all(re.match(expected, line) for line in found), found


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a: {script: [x], image: python, cache: {paths: [a]}}",
        CHILD + "  needs: []\n  allow_failure: true\n  rules: [{if: $A}]\n",
        "a: {trigger: {include: {project: $CI_PROJECT_PATH, file: a}, strategy: depend}}",
        ".data: {anything: {only: here}, list: [1]}\na: {script: [x]}",
        "variables: {only: a, B: {value: c, description: d, expand: false}}\na: {script: [x], variables: {trigger: b}}",
        "a: {script: [x], id_tokens: {ID: {aud: b}}, rules: [{if: $A, changes: [b], variables: {C: d}, needs: [e]}]}",
        "a: {script: [!reference [.b, script]], timeout: 1h 30m, artifacts: {expire_in: never, access: developer}}",
    ],
)
def test_what_is_honoured_passes(text: str) -> None:
    assert problems(text) == []


def test_the_products_own_definition_passes() -> None:
    assert problems((ROOT / ".gitlab-ci.yml").read_text()) == []


def test_aliases_of_aliases_are_visited_once() -> None:
    lines = ["a0: &a0 {x: y}", *(f"a{n}: &a{n} {{k: [{', '.join([f'*a{n - 1}'] * 9)}]}}" for n in range(1, 30))]
    assert len(problems("\n".join(f".{line}" for line in lines) + "\njob: {script: [x], rules: [*a29]}\n")) < 100


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("15 minutes", 900),
        ("1h 30m", 5400),
        ("1h30m", 5400),
        ("3600", 3600),
        ("1 day and 2 hours", 93600),
        ("1.5 hours", 5400),
        ("2 weeks", 1209600),
        ("1 month", 2629746),
        ("1 hour, 5 mins", 3900),
        ("soon", None),
        ("", None),
        ("5 parsecs", None),
        ("0", None),
    ],
)
def test_durations(text: str, seconds: int | None) -> None:
    assert durations.seconds(text) == seconds


@pytest.mark.parametrize(
    ("pattern", "yes", "no"),
    [
        ("*.md", "a.md .md", "d/a.md a.mdx"),
        ("docs/*", "docs/a docs/.a", "docs/a/b xdocs/a"),
        ("docs/**", "docs/a", "docs/a/b"),
        ("docs/**/*", "docs/a docs/a/b docs/.x/b", "doc/a"),
        ("**/*.py", "a.py d/a.py d/e/a.py", "a.pyc"),
        ("a{b,c/**/d}.x", "ab.x ac/d.x ac/e/d.x", "a.x"),
        ("[ab]?.t", "ax.t", "cx.t a/.t"),
        ("[!a].t", "b.t", "a.t"),
        ("a+(b).t", "a+(b).t", "ab.t"),
        ("döcs/**", "döcs/ö.md", "docs/a"),
        ("a\\*b", "a*b", "axb"),
        ("{unclosed", "{unclosed", "unclosed"),
    ],
)
def test_patterns_of_paths(pattern: str, yes: str, no: str) -> None:
    assert [path for path in yes.split() if not re.fullmatch(glob(pattern), path)] == []
    assert [path for path in no.split() if re.fullmatch(glob(pattern), path)] == []


@pytest.mark.parametrize(
    ("job", "word"),
    [
        ("rules: [always]", "no rule"),
        ("rules: [{exists: [" + ", ".join(["a"] * 51) + "]}]", "more than 50 patterns"),
        ("environment: {name: 'bad name!!'}", "has only letters"),
        ("environment: {name: p, deployment_tier: bogus}", "none of production"),
        ("image: {entrypoint: ['']}", "needs a `name`"),
        ("needs: [{artifacts: true}]", "without `job`"),
        ("variables: {A: [1]}", "is a list"),
        ("artifacts: {reports: {junit: $F}}", "takes no variable"),
        ("artifacts: {reports: {dotenv: 'v.en{v,w}'}}", "takes one file"),
    ],
)
def test_a_value_that_gitlab_refuses_or_reads_otherwise_is_refused(job: str, word: str) -> None:
    document = strict_yaml.compose(f"a:\n  script: [x]\n  {job}\n", source=".gitlab-ci.yml")
    (problem,) = keywords.check(document)
    assert problem.line == 3
    assert word in problem.words
