"""Answers of servers have a limit, whoever the server is."""

import pytest

from factory.errors import InvalidInput
from factory.system.http import Client
from tests import stub_server
from tests.stub_server import Answer


def test_an_answer_of_more_than_256_mib_is_not_read_to_its_end() -> None:
    most = 256 * 2**20

    def answer(_method: str, path: str, _before: int) -> Answer:
        return Answer(200, body="x" * (1000 if path == "/small" else most))

    with stub_server.saying(answer) as stub:
        client = Client(stub.url)
        assert len(client.send("GET", "/small").body) == 1002
        with pytest.raises(InvalidInput, match=f"is larger than {most} bytes"):
            client.send("GET", "/large")
        with pytest.raises(InvalidInput, match="is larger than 100 bytes"):
            client.fetch("/small", params={}, largest=100, seconds=60)
