"""Which files belong to the apps of a repository."""

import pytest

from factory.model.app_paths import FOLDERS, AppPaths

SHOP = AppPaths("shop", ("shop", "wsgi.py"))
LIBRARY = AppPaths("library", ("src",))
FLAT = AppPaths("flat", (".",))


@pytest.mark.parametrize(
    ("apps", "path", "app", "code"),
    [
        (FOLDERS, "apps/a/src/x/y.py", "a", "apps/a/src"),
        (FOLDERS, "apps/a/tests/test_y.py", "a", ""),
        (FOLDERS, "apps/README.md", "", ""),
        (FOLDERS, "shop/x.py", "", ""),
        (SHOP, "shop/coupons.py", "shop", "shop"),
        (SHOP, "shop/tests/helper.py", "shop", ""),
        (SHOP, "shopping/x.py", "shop", ""),
        (SHOP, "wsgi.py", "shop", "wsgi.py"),
        (SHOP, "tests/test_coupons.py", "shop", ""),
        (SHOP, "shop/coupons_test.py", "shop", ""),
        (SHOP, "shop/conftest.py", "shop", ""),
        (SHOP, "README.md", "shop", ""),
        (SHOP, "policies/gates.yml", "", ""),
        (SHOP, ".gitlab/factory/pipeline.yml", "", ""),
        (LIBRARY, "src/library/api.py", "library", "src"),
        (LIBRARY, "library/api.py", "library", ""),
        (FLAT, "app.py", "flat", "."),
        (FLAT, "tests/data.py", "flat", ""),
    ],
)
def test_a_file_is_an_apps(apps: AppPaths, path: str, app: str, code: str) -> None:
    assert (apps.app_of(path), apps.code_of(path)) == (app, code)
    assert apps.owns(path) == (bool(app) or path == "apps/README.md")


def test_tests_are_found_by_their_names() -> None:
    named = ("apps/a/tests/test_x.py", "apps/a/x_test.py", "apps/a/tests/helper.py", "tests/test_x.py")
    assert [FOLDERS.is_test(path) for path in named] == [True, True, False, False]
    assert [SHOP.is_test(path) for path in named] == [True, True, False, True]
