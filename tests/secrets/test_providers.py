"""What all providers have in common, and the values that they hand out."""

import copy
import json
import logging
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from factory.errors import InvalidInput, NotFound, Refused
from factory.model.secret import Secret, SecretLocation, StoredSecret
from factory.secrets.file import made_key
from factory.secrets.openbao import OpenBao
from factory.secrets.providers import PROVIDERS, Options, Provider
from tests.secrets.servers import DevServer

VALUE = "planted-value-09ff"
HERE = SecretLocation("here", "plan/provided", "HERE_TOKEN")


@pytest.fixture(params=["openbao", "file"])
def provider(request: pytest.FixtureRequest, tmp_path: Path, openbao: DevServer, root: OpenBao) -> Provider:
    if request.param == "openbao" and "factory/" not in root.read("sys/mounts"):
        root.write("sys/mounts/factory", {"type": "kv", "options": {"version": "2"}})
    options = Options(
        address=openbao.url,
        token=Secret(openbao.token),
        store=tmp_path / "store.json",
        key=made_key(tmp_path / "key"),
    )
    return PROVIDERS[request.param](options)


def test_what_is_put_is_got(provider: Provider) -> None:
    first = provider.put(HERE, Secret(VALUE))
    assert provider.put(HERE, Secret(VALUE + "2"), version=first) == first + 1
    assert provider.get(HERE).value == Secret(VALUE + "2")
    assert HERE.path in provider.names()
    with pytest.raises(NotFound):
        provider.get(SecretLocation("none", "plan/not-there"))


def test_variables_are_read_and_never_written() -> None:
    provider = PROVIDERS["environment"](Options(environment={"HERE_TOKEN": VALUE, "EMPTY": ""}))
    assert provider.get(HERE) == StoredSecret(Secret(VALUE))
    assert provider.names() == ()
    for place in (
        SecretLocation("a", "plan/a", "EMPTY"),
        SecretLocation("a", "plan/a", "NONE"),
        SecretLocation("a", "plan/a"),
    ):
        with pytest.raises(NotFound):
            provider.get(place)
    with pytest.raises(Refused, match="can't write"):
        provider.put(HERE, Secret("x"))
    assert VALUE not in repr(provider)


@pytest.mark.parametrize("name", ["openbao", "file"])
def test_a_provider_that_is_not_set_up(name: str) -> None:
    with pytest.raises(InvalidInput):
        PROVIDERS[name](Options())


def test_a_secret_shows_itself_to_nobody(caplog: pytest.LogCaptureFixture) -> None:
    secret = Secret(VALUE)
    logging.getLogger("x").warning("%s %r", secret, {"a": [secret]})
    shown = f"{secret} {secret!r} {secret:>40} {[secret]} {StoredSecret(secret)!r} {json.dumps([secret], default=str)}"
    assert VALUE not in shown + caplog.text + str(vars(StoredSecret(secret)))
    for write in (json.dumps, pickle.dumps):
        with pytest.raises(TypeError):
            write(secret)
    assert copy.deepcopy(secret) is secret is copy.copy(secret)
    assert not hasattr(secret, "__dict__")
    assert secret == Secret(VALUE)
    assert secret != VALUE
    assert {secret: 1}[Secret(VALUE)] == 1
    assert (bool(secret), bool(Secret(""))) == (True, False)


def test_only_openbao_loads_hvac() -> None:

    script = (
        "import sys\n"
        "from factory.secrets import lease, providers\n"
        "from factory.secrets.providers import PROVIDERS, Options\n"
        "PROVIDERS['environment'](Options())\n"
        "with lease.opened({}, ()): pass\n"
        "print('hvac' in sys.modules, 'requests' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
