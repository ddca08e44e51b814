"""Which URLs name a database that a release may use."""

from pathlib import Path

import pytest

from factory.apps import postgresql
from factory.errors import ToolFailed


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://shop:a%40b@/shop?host=/run/postgresql",
        "postgres://shop:a%40b@%2Frun%2Fpostgresql/shop",
        "postgresql://shop:a%40b@%2Frun%2Fpostgresql:5432/shop?application_name=x",
    ],
)
def test_a_url_names_socket_role_and_database(url: str) -> None:
    found = postgresql.of_url(url)
    assert (found.folder, found.port, found.role, found.name) == (Path("/run/postgresql"), "5432", "shop", "shop")
    assert found.password.reveal() == "a@b"
    assert "a%40b" not in repr(found)
    copy = postgresql.of_url(found.named("shop_copy").url)
    assert (copy.name, copy.folder, copy.password) == ("shop_copy", found.folder, found.password)


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("mysql://shop:x@/shop?host=/run", "does not name a role"),
        ("postgresql:///shop?host=/run", "does not name a role"),
        ("postgresql://shop:x@[/shop", "is no URL"),
        ("postgresql://shop:x@/shop%00?host=/run", "contains a NUL"),
        ("postgresql://shop:x@db.example.com/shop", "no folder of a unix socket"),
        ("postgresql://shop@/shop?host=/run", "has no password"),
        ("postgresql://shop:x@/?host=/run", "names a database that does not match"),
        ("postgresql://shop:x@/host%3D1?host=/run", "names a database that does not match"),
        ("postgresql://shop:x@/Shop?host=/run", "names a database that does not match"),
        (f"postgresql://shop:x@/{'a' * 49}?host=/run", "names a database that does not match"),
    ],
)
def test_other_urls_are_refused_without_their_password(url: str, why: str) -> None:
    with pytest.raises(ToolFailed, match=why) as refused:
        postgresql.of_url(url)
    assert ":x@" not in str(refused.value)
