"""The login that Codex keeps for a plan: what is read of it, and what is no login."""

import base64
import json
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from factory.errors import Unauthorized
from factory.secrets import codex_login


def jwt(claims: object) -> str:
    part = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
    return f"e30.{part}.c2ln"


def kept(folder: Path, content: bytes, mode: int = 0o600) -> Path:
    path = folder / "auth.json"
    path.write_bytes(content)
    path.chmod(mode)
    return path


def login(**tokens: Any) -> bytes:
    known = {"access_token": "access", "refresh_token": "refresh", "id_token": "id", "account_id": "account"}
    return json.dumps({"auth_mode": "chatgpt", "OPENAI_API_KEY": None, "tokens": known | tokens}).encode()


def test_a_login_is_read_with_all_that_is_secret_in_it(tmp_path: Path) -> None:
    soon = int(time.time()) + 300
    token = jwt({"exp": soon})
    found = codex_login.read(kept(tmp_path, login(access_token=token)))
    assert (found.access, found.account, found.expires) == (token, "account", soon)
    assert set(found.secrets) == {token, "refresh", "id"}
    assert found.expired(within=600)
    assert not found.expired(within=60)
    assert not any(secret in repr(found) for secret in (*found.secrets, "account"))


@pytest.mark.parametrize(
    "token",
    [
        "opaque",
        "a.b",
        "a.b.c",
        "e30.W10.c2ln",
        *(jwt({"exp": odd}) for odd in ("1", -1, 1.5, True, None, 10**15)),
        jwt([]),
    ],
)
def test_a_token_without_a_readable_expiry_is_used_as_it_is(tmp_path: Path, token: str) -> None:
    found = codex_login.read(kept(tmp_path, login(access_token=token)))
    assert found.expires is None
    assert not found.expired(within=10**9)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not JSON",
        b"\xff\xfe",
        b"[" * 100_000,
        b"[]",
        b"null",
        b"{}",
        b'{"tokens": []}',
        b'{"tokens": {}}',
        b'{"OPENAI_API_KEY": "sk-x", "tokens": null}',
        json.dumps({"auth_mode": "apikey", "tokens": json.loads(login())["tokens"]}).encode(),
        b" " * 1_000_001,
        *(login(access_token=odd) for odd in (None, 1, "", "a\nb", "a\r\nHost: x", "ü", "x" * 20_001)),
        *(login(account_id=odd) for odd in (None, 1, "", "a\tb")),
    ],
    ids=lambda content: repr(content[:40]),
)
def test_a_file_that_is_no_login_is_refused_with_the_command_that_makes_one(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(Unauthorized) as refused:
        codex_login.read(kept(tmp_path, content))
    assert "codex login" in refused.value.hint
    assert "\n" not in str(refused.value)


@given(
    content=st.binary(max_size=200)
    | st.recursive(st.none() | st.text(), st.lists).map(lambda v: json.dumps(v).encode())
)
def test_no_content_is_an_error_of_another_kind(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    with pytest.raises(Unauthorized):
        codex_login.read(kept(tmp_path_factory.mktemp("login"), content))


@pytest.mark.parametrize("mode", [0o644, 0o660, 0o604, 0o640])
def test_a_login_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    with pytest.raises(Unauthorized, match="can be read by others") as refused:
        codex_login.read(kept(tmp_path, login(), mode))
    assert "chmod 600" in refused.value.hint


def test_links_are_followed_to_a_file_and_never_for_ever(tmp_path: Path) -> None:
    kept(tmp_path, login())
    (tmp_path / "linked").symlink_to(tmp_path / "auth.json")
    assert codex_login.read(tmp_path / "linked").access == "access"
    (tmp_path / "one").symlink_to(tmp_path / "two")
    (tmp_path / "two").symlink_to(tmp_path / "one")
    (tmp_path / "folder").mkdir(mode=0o700)
    for name in ("one", "folder", "absent"):
        with pytest.raises(Unauthorized, match="no login of a plan"):
            codex_login.read(tmp_path / name)


def test_the_login_is_where_codex_keeps_it() -> None:
    assert codex_login.path({"HOME": "/home/me"}) == Path("/home/me/.codex/auth.json")
    assert codex_login.path({"HOME": "/home/me", "CODEX_HOME": "/there"}) == Path("/there/auth.json")


@pytest.mark.parametrize("body", ["exit 0", "exit 1", "echo garbage; exit 0"])
def test_a_program_that_renews_nothing_is_reported(tmp_path: Path, body: str) -> None:
    source = kept(tmp_path, login())
    program = tmp_path / "codex"
    program.write_text(f"#!/bin/sh\n{body}\n")
    program.chmod(0o755)
    with pytest.raises(Unauthorized, match="could not renew its login") as refused:
        codex_login.renew(source, str(program), {"HOME": str(tmp_path)}, "/usr/bin:/bin")
    assert "codex login" in refused.value.hint


def test_what_the_program_wrote_is_read_again_and_it_gets_no_other_variable(tmp_path: Path) -> None:
    source, new = kept(tmp_path, login()), tmp_path / "new.json"
    new.write_bytes(login(access_token="renewed"))
    program = tmp_path / "codex"
    answer = json.dumps({"id": 2, "result": {}})
    program.write_text(
        "#!/bin/sh\nread -r _; read -r _; read -r _\n"
        f"env > {tmp_path}/seen; cat {new} > {source}; echo '{answer}'; sleep 60\n"
    )
    program.chmod(0o755)
    environment = {"HOME": str(tmp_path), "FACTORY_TOKEN_OPERATOR": "secret", "CODEX_HOME": str(tmp_path)}
    assert codex_login.renew(source, str(program), environment, "/usr/bin:/bin").access == "renewed"
    seen = (tmp_path / "seen").read_text()
    assert "CODEX_HOME" in seen
    assert "FACTORY_TOKEN" not in seen
