"""Who fails again and again waits ever longer; a server that is away makes nobody wait longer."""

import pytest

from factory.errors import FactoryError, ToolFailed, Unreachable
from factory.host.retries import Retries


@pytest.mark.parametrize(
    ("errors", "pause"),
    [
        ((ToolFailed("no"),), "15"),
        ((ToolFailed("no"), ToolFailed("no"), ToolFailed("no")), "60"),
        ((ToolFailed("no"),) * 9, "900"),
        ((ToolFailed("no"), ToolFailed("no"), Unreachable("away")), "15"),
    ],
    ids=["first", "third", "ninth", "away"],
)
def test_the_pause_doubles(errors: tuple[FactoryError, ...], pause: str) -> None:
    said: list[str] = []
    retries = Retries(said.append)
    for error in errors:
        retries.failed("shop-1", error)
    assert said[-1] == f"shop-1 does not run: {errors[-1]}; tried again in {pause} s"


def test_a_release_that_failed_waits_until_it_is_forgotten() -> None:
    tried: list[str] = []

    def fail() -> None:
        tried.append("once more")
        raise ToolFailed("line one\nits log")

    retries = Retries(lambda _: None)
    retries.attempt("shop-1", fail)
    retries.attempt("shop-1", fail)
    assert (len(tried), retries.why("shop-1"), retries.why("shop-2")) == (1, "line one", "")
    retries.forget_app("shop")
    retries.attempt("shop-1", fail)
    assert len(tried) == 2


def test_a_failure_without_words_is_a_failure() -> None:
    retries = Retries(lambda _: None)
    retries.failed("shop-1", OSError())
    assert retries.why("shop-1")
