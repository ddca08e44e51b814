"""A real OpenBao in dev mode, shared by the tests of one process."""

from collections.abc import Iterator

import pytest

from factory.model.secret import Secret
from factory.secrets.openbao import OpenBao
from tests.secrets.servers import DevServer, running_openbao


@pytest.fixture(scope="session")
def openbao(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DevServer]:
    with running_openbao(tmp_path_factory.mktemp("openbao")) as server:
        yield server


@pytest.fixture
def root(openbao: DevServer) -> OpenBao:
    """Return a connection that may do everything."""
    return OpenBao(openbao.url, token=Secret(openbao.token))
