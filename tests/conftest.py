"""Fixtures shared by all tests; shapes and types are checked at run time in every test."""

import os

import ismrmrd  # noqa: F401  # importing it resets the warning filters; here pytest restores them
import pytest
import torch

from tests import runtime_types

# what is printed must not depend on who else computes
os.environ.setdefault("OMP_NUM_THREADS", str(torch.get_num_threads()))
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
