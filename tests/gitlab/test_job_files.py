"""Files that a job left, through the product's door: one that is too large is refused, not read."""

import pytest

from factory.errors import InvalidInput
from factory.gitlab import pipelines
from factory.gitlab.connect import connect
from tests import stub_server
from tests.stub_server import Answer

WHOLE = len(b'"' + b"x" * 200_000 + b'"')


def test_a_file_of_a_job_has_a_limit() -> None:
    with stub_server.saying(lambda *_: Answer(200, body="x" * 200_000)) as stub:
        connection = connect(stub.url, "factory/shop", account="bot", token="t")
        assert len(pipelines.artifact(connection, 7, "out/a", limit=WHOLE) or b"") == WHOLE
        with pytest.raises(InvalidInput, match=f"^out/a of job 7 has more than {WHOLE - 1} bytes$"):
            pipelines.artifact(connection, 7, "out/a", limit=WHOLE - 1)
        assert len(pipelines.archive(connection, 7, limit=WHOLE)) == WHOLE
        with pytest.raises(InvalidInput, match=f"^the archive of job 7's artifacts has more than {WHOLE - 1} bytes$"):
            pipelines.archive(connection, 7, limit=WHOLE - 1)


def test_a_file_that_is_not_there_is_none() -> None:
    with stub_server.saying(lambda *_: Answer(404)) as stub:
        assert pipelines.artifact(connect(stub.url, "factory/shop", account="bot", token="t"), 7, "out/a") is None
