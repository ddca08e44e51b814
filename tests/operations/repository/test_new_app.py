"""A new app of each kind: its files, and what it answers once it is built and started."""

import pytest

from factory.errors import Conflict, InvalidInput
from factory.operations.repository import new_app
from factory.policies import apps
from factory.specs.lint import lint
from tests.apps.test_release import Start, answer, start

__all__ = ["start"]
APP = b"environments:\n  production: {hostname: www.acme.com}\n"


def made(kind: str, name: str = "my-shop", **others: bytes) -> dict[str, str]:
    known = apps.read({f"apps/{other}/app.yml": data for other, data in others.items()})
    found = new_app.made(name, kind, owner="Jane", existing=(), others=known)
    return {path: data.decode() for path, data in found.items()}


@pytest.mark.parametrize("kind", new_app.KINDS)
def test_it_is_small_and_its_test_cites_the_requirement(kind: str) -> None:
    files = made(kind, shop=APP)
    (app,) = apps.read({"apps/my-shop/app.yml": files["apps/my-shop/app.yml"].encode()}).values()
    assert (app.kind, app.environments["production"].hostname) == (kind, "my-shop.acme.com")
    assert len(files["apps/my-shop/app.yml"].splitlines()) <= 10
    (test,) = (text for path, text in files.items() if "/tests/" in path)
    assert "MY-SHOP-1" in test
    spec = {"specs/my-shop.md": files["specs/my-shop.md"].encode()}
    assert lint(spec, exists=lambda path: any(one.startswith(path) for one in files)) == ()


@pytest.mark.parametrize("kind", new_app.KINDS)
def test_it_can_be_built_and_answers(start: Start, kind: str) -> None:
    folder = "apps/my-shop/"
    files = {path.removeprefix(folder): text for path, text in made(kind).items() if path.startswith(folder)}
    assert "Hello from my-shop" in answer(start(files))


@pytest.mark.parametrize("name", ["", "Shop", "../x", "a/b", "1a", "a_b", "a--b", "a" * 42])
def test_a_name_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(InvalidInput):
        made("python", name)


@pytest.mark.parametrize("path", ["apps/shop/README.md", "specs/shop.md"])
def test_what_exists_is_left_alone(path: str) -> None:
    with pytest.raises(Conflict, match="already exists"):
        new_app.made("shop", "static", owner="Jane", existing=[path], others={})
