"""Which files of a folder are read."""

import os

import pytest

from mrirecon.data.raw_files import raw_files
from mrirecon.errors import RawDataError
from mrirecon.evaluation.scores.volumes import volume_files


@pytest.mark.parametrize("finds", [raw_files, volume_files])
@pytest.mark.parametrize("pattern", ["*", "**/*"])
def test_a_folder_that_may_not_be_listed_is_not_called_empty(finds, pattern, tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "scandir", refuse)
    options = {"pattern": pattern} if finds is raw_files else {}
    with pytest.raises(RawDataError, match=r"cannot be read \(Permission denied\); check its perm"):
        finds(tmp_path, **options)
