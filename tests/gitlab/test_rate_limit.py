"""What a client owes GitLab, over real HTTP: pauses, budgets, answers that are not fetched twice."""

from datetime import UTC, datetime

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from factory.errors import RateLimited, Unreachable
from factory.gitlab import rate_limit
from factory.gitlab.connect import Connection, connect, translated
from factory.gitlab.rate_limit import Bucket, Rate, RateLimiter
from tests.servers import LocalGitlab
from tests.stub_server import Answer, saying

NOW = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)


def client(url: str, path: str = "a/b", token: str = "t") -> Connection:
    return connect(url, path, account="a", token=token)


def waits(connection: Connection) -> list[float]:
    """Return a list that grows by each pause of the connection; none is taken."""
    taken: list[float] = []
    polite = RateLimiter({}, wait=taken.append)
    connection.client.session.mount("http://", polite)
    return taken


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0),
        ("7", 7),
        ("Thu, 26 Nov 2026 12:00:30 GMT", 30),
        ("Thu, 26 Nov 2026 11:00:00 GMT", 0),
        ("", rate_limit.DEFAULT_PAUSE),
        ("soon", rate_limit.DEFAULT_PAUSE),
        ("-3", rate_limit.DEFAULT_PAUSE),
        ("1 Jan 99999999999 1:1:1 GMT", rate_limit.DEFAULT_PAUSE),
        ("Thu, 26 Nov 2026 12:00:30 +999999999999999999", rate_limit.DEFAULT_PAUSE),
        ("\u0663", rate_limit.DEFAULT_PAUSE),
    ],
)
def test_how_long_a_pause_is_asked_for(text: str, seconds: float) -> None:
    assert rate_limit.pause({"Retry-After": text}, NOW) == seconds


@given(st.text())
def test_no_header_breaks_the_client(text: str) -> None:
    assert rate_limit.pause({"Retry-After": text}, NOW) >= 0


@given(st.lists(st.floats(0, 30), min_size=1, max_size=200), st.integers(1, 20), st.floats(0.1, 10))
def test_a_budget_is_never_exceeded(gaps: list[float], burst: int, each_second: float) -> None:
    bucket, now, sent = Bucket(Rate(burst, each_second)), 0.0, []
    for gap in gaps:
        now += gap
        now += bucket.take(now)
        sent.append(now)
    for first in range(len(sent)):
        for last in range(first, len(sent)):
            assert last - first + 1 <= burst + (sent[last] - sent[first]) * each_second + 1.001


def test_only_gitlab_com_has_budgets_of_ours() -> None:
    assert rate_limit.rates("https://gitlab.com") is rate_limit.GITLAB_COM
    assert rate_limit.rates("https://gitlab.com.example") == {}
    assert rate_limit.kinds("POST", "/api/v4/projects/1/issues/2/notes") == ("all", "notes")
    assert rate_limit.kinds("GET", "/api/v4/projects/1/issues/2/notes") == ("all",)
    assert rate_limit.kinds("POST", "/api/v4/projects/1/pipeline") == ("all", "pipelines")


def test_a_pause_is_kept_and_the_request_sent_again() -> None:
    def answer(method: str, path: str, number: int) -> Answer:
        del method, path
        return Answer(429, {"Retry-After": "3"}) if number < 2 else Answer(201, body={"id": 1})

    with saying(answer) as stub:
        connection = client(stub.url)
        taken = waits(connection)
        made = connection.client.http_post("/projects/1/issues", post_data={"title": "x"})
    assert made == {"id": 1}
    assert taken == [3.0, 3.0]
    assert [method for method, _, _ in stub.asked] == ["POST"] * 3


def test_a_long_pause_is_told_and_not_taken() -> None:
    with saying(lambda *_: Answer(429, {"Retry-After": "3600"})) as stub:
        connection = client(stub.url)
        taken = waits(connection)
        with pytest.raises(RateLimited, match="no request for 3600 s") as told, translated("look"):
            connection.client.http_get("/version")
    assert taken == []
    assert "again in 3600 s" in told.value.hint
    assert told.value.exit_code == Unreachable.exit_code


def test_a_server_that_never_stops_asking_ends_the_command() -> None:
    with saying(lambda *_: Answer(429, {"Retry-After": "40"})) as stub:
        connection = client(stub.url)
        taken = waits(connection)
        with pytest.raises(RateLimited), translated("look"):
            connection.client.http_get("/version")
    assert taken == [40.0, 40.0]


def test_one_that_asks_for_no_pause_is_not_asked_without_end() -> None:
    with saying(lambda *_: Answer(429, {"Retry-After": "0"})) as stub:
        connection = client(stub.url)
        taken = waits(connection)
        with pytest.raises(RateLimited), translated("look"):
            connection.client.http_get("/version")
    assert sum(taken) == rate_limit.PATIENCE


def test_what_may_have_been_done_is_not_sent_twice() -> None:
    with saying(lambda *_: Answer(503, {"Retry-After": "1"})) as stub:
        connection = client(stub.url)
        waits(connection)
        with pytest.raises(Unreachable, match="503"), translated("write"):
            connection.client.http_post("/projects", post_data={})
    assert len(stub.asked) == 1


def test_a_person_is_told_of_a_pause() -> None:
    said: list[str] = []
    polite = RateLimiter({"all": Rate(1, 0.2)}, say=said.append, wait=lambda _: None)
    session = requests.Session()
    session.mount("http://", polite)
    with saying(lambda *_: Answer(200)) as stub:
        for _ in range(2):
            session.get(stub.url + "/x", timeout=30)
    assert said == ["waiting 5 s for GitLab's rate limit"]


def test_an_unchanged_answer_is_not_sent_again(gitlab_server: LocalGitlab) -> None:
    project = gitlab_server.project()
    for number in range(3):
        project.issues.create({"title": str(number)})
    connection = client(gitlab_server.url, project.path_with_namespace, gitlab_server.root_token)
    seen: list[tuple[int, int]] = []

    def note(answer: requests.Response, *_: object, **__: object) -> None:
        seen.append((answer.status_code, len(answer.content)))

    connection.client.session.hooks["response"].append(note)
    polite = connection.client.session.get_adapter("http://")
    assert isinstance(polite, RateLimiter)

    def titles() -> list[str]:
        return [issue.title for issue in connection.project.issues.list(get_all=True, per_page=3)]

    assert titles() == titles() == ["2", "1", "0"]
    assert polite.sent == {("GET", 200): 1, ("GET", 304): 1}
    assert seen[0] == seen[1]
    # The first page stays as it was, and is no longer the last: the 304 says so.
    oldest = [issue.title for issue in connection.project.issues.list(get_all=True, per_page=3, sort="asc")]
    project.issues.create({"title": "3"})
    assert [i.title for i in connection.project.issues.list(get_all=True, per_page=3, sort="asc")] == [*oldest, "3"]
    assert polite.sent == {("GET", 200): 3, ("GET", 304): 2}
    project.issues.get(1).notes.create({"body": "x"})
    assert connection.project.issues.get(1).user_notes_count == 1


def test_unchanged_answers_come_over_one_connection(
    gitlab_server: LocalGitlab, caplog: pytest.LogCaptureFixture
) -> None:
    connection = client(gitlab_server.url, gitlab_server.project().path_with_namespace, gitlab_server.root_token)
    with caplog.at_level("DEBUG", logger="urllib3.connectionpool"):
        for _ in range(4):
            connection.project.issues.list(get_all=True)
    polite = connection.client.session.get_adapter(gitlab_server.url)
    assert isinstance(polite, RateLimiter)
    assert polite.sent["GET", 304] >= 3
    assert not [line for line in caplog.messages if "Resetting dropped connection" in line]


def test_a_304_without_its_headers_is_asked_for_anew() -> None:
    page = {"X-Page": "1", "X-Next-Page": ""}

    def answer(method: str, path: str, number: int) -> Answer:
        del method, path
        return Answer(304, {"ETag": '"a"'}) if number == 1 else Answer(200, {**page, "ETag": '"a"'}, body=[number])

    with saying(answer) as stub:
        connection = client(stub.url)
        seen: list[object] = [list(connection.client.http_list("/x", get_all=True)) for _ in range(2)]
    assert seen == [[0], [2]]


def test_answers_are_kept_by_account_and_not_without_end() -> None:
    def answer(method: str, path: str, number: int) -> Answer:
        del method
        return Answer(200, {"ETag": f'"{path}"'}, body=number)

    with saying(answer) as stub:
        polite = RateLimiter({})
        session = requests.Session()
        session.mount("http://", polite)
        for number in (*range(rate_limit.KEPT + 1), 0):
            session.get(f"{stub.url}/{number}", headers={"PRIVATE-TOKEN": "a"}, timeout=30)
        assert polite.kept == rate_limit.KEPT
        # The oldest was forgotten; another account's is never used.
        assert session.get(f"{stub.url}/0", headers={"PRIVATE-TOKEN": "b"}, timeout=30).json() == rate_limit.KEPT + 2
