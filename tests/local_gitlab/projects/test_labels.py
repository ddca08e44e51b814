"""Colours and priorities of labels."""

import gitlab
import pytest

from tests.servers import LocalGitlab


@pytest.mark.parametrize(
    ("given", "color", "text"),
    [
        ("red", "#FF0000", "#FFFFFF"),
        ("LightYellow", "#FFFFE0", "#1F1E24"),
        ("#abc", "#aabbcc", "#1F1E24"),
        ("#112233", "#112233", "#FFFFFF"),
    ],
)
def test_a_color_is_shown_with_six_digits(gitlab_server: LocalGitlab, given: str, color: str, text: str) -> None:
    label = gitlab_server.project().labels.create({"name": "a", "color": given})
    assert (label.color, label.text_color) == (color, text)


@pytest.mark.parametrize("color", ["reddish", "#12", "112233", "#11223344"])
def test_other_text_is_no_color(gitlab_server: LocalGitlab, color: str) -> None:
    with pytest.raises(gitlab.GitlabCreateError, match="must be a valid color code"):
        gitlab_server.project().labels.create({"name": "a", "color": color})


def test_a_label_has_a_priority_or_none(gitlab_server: LocalGitlab) -> None:
    project = gitlab_server.project()
    label = project.labels.create({"name": "a", "color": "red", "priority": 0})
    found = [label.priority]
    for given in ({"priority": 2}, {"description": "x"}, {"priority": None}):
        project.labels.update("a", given)
        found.append(project.labels.get("a").priority)
    assert found == [0, 2, 2, None]
    for wrong in (-1, "high"):
        with pytest.raises(gitlab.GitlabUpdateError):
            project.labels.update("a", {"priority": wrong})
