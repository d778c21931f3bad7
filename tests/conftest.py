"""Fixtures shared by all tests; shapes and types are checked at run time in every test."""

import ismrmrd  # noqa: F401  # importing it resets the warning filters; here pytest restores them
import pytest

from tests import runtime_types

runtime_types.install()


@pytest.fixture(autouse=True)
def _checks_begin_anew():
    """Check every function in every test, whatever it was called with in those before."""
    runtime_types.forget()


@pytest.fixture(autouse=True, scope="session")
def _cache_folder(tmp_path_factory):
    """Keep what tests cache out of the user's cache folder; subprocesses inherit it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield
