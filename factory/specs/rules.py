"""The rules of specs and traces: what each finds, and how to fix that."""

from collections.abc import Mapping

from factory.model.verdict import Rule

RULES: Mapping[str, Rule] = {
    "spec.unreadable": Rule(
        "a file that is not UTF-8 or has invalid front matter",
        "Write the front matter as docs/specs.md shows it.",
    ),
    "spec.name": Rule(
        "a file whose name differs from its id",
        "Name the file after the id, or the id after the file.",
    ),
    "spec.part-missing": Rule(
        "second-level headings other than the four parts, each once and with text",
        "Add the heading with text.",
    ),
    "spec.part-empty": Rule(
        "second-level headings other than the four parts, each once and with text",
        "Add text to the part.",
    ),
    "spec.part-repeated": Rule(
        "second-level headings other than the four parts, each once and with text",
        "Merge the two parts.",
    ),
    "spec.part-unknown": Rule(
        "second-level headings other than the four parts, each once and with text",
        "Make it a ### heading below one of the four parts.",
    ),
    "spec.no-requirements": Rule(
        "a spec without requirements, a requirement without text",
        "Add a requirement such as `- **HELLO-1**: what must be true.`",
    ),
    "spec.requirement-empty": Rule(
        "a spec without requirements, a requirement without text",
        "Write after the id what must be true.",
    ),
    "spec.id-form": Rule(
        "a line that begins with an id but is neither a requirement nor a scenario",
        "Write a requirement as `- **HELLO-1**: …`, and a scenario below ## Validation as `- HELLO-1: …`.",
    ),
    "spec.hidden-text": Rule(
        "HTML in a list item, or a comment in a line of text: the page would show other words than the agent reads",
        "Move the comment to lines of its own outside lists, or remove it.",
    ),
    "spec.no-scenario": Rule(
        "a requirement without a scenario, a scenario whose requirement is not in this spec",
        "Add a scenario `- <id>: Given …, When …, Then …` below ## Validation.",
    ),
    "spec.no-requirement": Rule(
        "a requirement without a scenario, a scenario whose requirement is not in this spec",
        "Correct the id, or add the requirement that the scenario tests.",
    ),
    "spec.scenario-form": Rule(
        "a scenario without Given, When and Then in this order",
        "Write it as Given …, When …, Then …, in this order.",
    ),
    "spec.duplicate-id": Rule(
        "an id that is defined twice, or used but not defined, across all specs",
        "Give one of them a new number that was never used.",
    ),
    "spec.dangling-id": Rule(
        "an id that is defined twice, or used but not defined, across all specs",
        "Correct the id, or add the requirement.",
    ),
    "spec.undecided": Rule(
        'TODO, TBD, FIXME, ???, "to be decided" and similar, also in code blocks',
        "Decide it and write the decision, or remove it from this version.",
    ),
    "spec.vague-word": Rule(
        "fast, soon, many, roughly and similar, in a sentence without a number",
        "Add a number to the sentence, or remove the word.",
    ),
    "spec.open-ended": Rule(
        "etc., and so on, if possible and similar, even in a sentence with a number",
        "List everything that is meant.",
    ),
    "spec.broken-link": Rule(
        "a relative link to a missing file, or an `#anchor` without a heading in the file",
        "Correct the link, or add its target.",
    ),
    "trace.untested": Rule(
        "a requirement of a decided spec without a passing test",
        "Cite the requirement with `@pytest.mark.spec` on a test that passes.",
    ),
    "trace.failing": Rule(
        "a requirement with a failing test",
        "Fix the code or the test; if the spec is wrong, change the spec.",
    ),
    "trace.orphan": Rule(
        "a test that cites an id that was never a requirement",
        "Correct the id on the test, or add the requirement.",
    ),
    "trace.dropped": Rule(
        "an id that tests, commits or evidence cite but no spec has any more; a superseded spec may keep it",
        "Restore the requirement, or keep it in a superseded spec and remove the citations.",
    ),
    "trace.drift": Rule(
        "a requirement whose text or scenarios changed after its tests last passed according to the evidence",
        "Compare the tests with the new text; the next recorded verdict in which they pass clears this.",
    ),
    "trace.waiver-expired": Rule(
        "a waiver that has expired",
        "Fix the waived finding, or ask the owner to extend the waiver.",
    ),
}
