"""Machine code that tests make is kept in a directory of its own, for one run."""

import pytest


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory):
    patch = pytest.MonkeyPatch()
    patch.setenv("CHAINRULE_CACHE", str(tmp_path_factory.mktemp("objects")))
    yield
    patch.undo()
