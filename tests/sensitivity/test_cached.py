import time

import numpy as np
import pytest
import torch

from mrirecon.errors import OutputError
from mrirecon.sensitivity import CachedMaps, Espirit, GivenMaps, LearnedMaps
from mrirecon.sensitivity.cache_folder import CacheFolder
from mrirecon.types import Sample
from tests.sensitivity.fuzz_cache import run
from tests.sensitivity.scene import batch, scene


class Counted(Espirit):
    def __init__(self, **arguments):
        super().__init__(**arguments)
        self._calls = 0

    def map_sets(self, sample: Sample):
        self._calls += sample.kspace[..., 0, 0, 0].numel()
        return super().map_sets(sample)


def cached(tmp_path, **arguments):
    return CachedMaps(Counted(**arguments), str(tmp_path))


def test_known_maps_are_read_and_equal(tmp_path):
    sample, _, _ = scene()
    first, again = cached(tmp_path, sets=2), cached(tmp_path, sets=2)
    assert torch.equal(first.map_sets(sample), again.map_sets(sample))
    assert (first.sensitivity._calls, again.sensitivity._calls) == (1, 0)
    torch.testing.assert_close(again(sample), Espirit()(sample), rtol=1e-4, atol=1e-5)


def test_only_unknown_members_are_computed(tmp_path):
    first, second = scene()[0], scene(seed=1)[0]
    cached(tmp_path)(first)
    other = cached(tmp_path)
    maps = other(batch(first, second, first))
    assert other.sensitivity._calls == 1
    torch.testing.assert_close(maps[1], Espirit()(second), rtol=1e-4, atol=1e-4)


def test_scale_and_other_lines_find_the_same_entry_but_other_data_do_not(tmp_path):
    sample, _, _ = scene(lines=24)
    cached(tmp_path)(sample)
    known = cached(tmp_path)
    known(sample.replace(kspace=sample.kspace * 0.37))
    outer = sample.kspace.clone()
    outer[..., 0] = 0
    known(sample.replace(kspace=outer))
    assert known.sensitivity._calls == 0
    known(scene(lines=24, seed=1)[0])
    assert known.sensitivity._calls == 1


@pytest.mark.parametrize("change", [{"crop": 0.8}, {"kernel": 5}, {"soft": True}, {"sets": 2}])
def test_other_settings_have_other_entries(tmp_path, change):
    sample, _, _ = scene()
    cached(tmp_path)(sample)
    other = cached(tmp_path, **change)
    other(sample)
    assert other.sensitivity._calls == 1


@pytest.mark.parametrize("damage", ["truncated", "flipped", "text", "empty"])
def test_damaged_entries_are_made_anew(tmp_path, damage):
    sample, _, _ = scene()
    expected = cached(tmp_path)(sample)
    (entry,) = tmp_path.glob("*.coilmaps")
    content = bytearray(entry.read_bytes())
    if damage == "flipped":
        content[len(content) // 2] ^= 0xFF
    entry.write_bytes(
        {"truncated": content[:999], "flipped": content, "text": b"no", "empty": b""}[damage]
    )
    other = cached(tmp_path)
    assert torch.equal(other(sample), expected)
    assert other.sensitivity._calls == 1
    again = cached(tmp_path)
    again(sample)
    assert again.sensitivity._calls == 0
    assert not list(tmp_path.glob(".*"))


def test_a_folder_that_cannot_be_written_only_costs_time(tmp_path, capsys):
    file = tmp_path / "file"
    file.write_text("")
    sample, _, _ = scene()
    assert torch.equal(CachedMaps(Espirit(), str(file))(sample), Espirit()(sample))
    assert "could not be kept" in capsys.readouterr().err


def test_oldest_entries_are_removed(tmp_path):
    for seed in range(3):
        cached(tmp_path)(scene(seed=seed)[0])
        time.sleep(0.02)
    entries = sorted(tmp_path.glob("*.coilmaps"), key=lambda path: path.stat().st_mtime)
    cached(tmp_path)(scene(seed=0)[0])  # used again
    CacheFolder(tmp_path, 2.5 * entries[0].stat().st_size / 1e9).clean()
    assert not entries[1].exists() and entries[0].exists() and entries[2].exists()


def test_what_is_trained_or_given_is_not_cached(tmp_path):
    for estimator in (LearnedMaps(2, 2), GivenMaps()):
        with pytest.raises(ValueError, match="cannot be cached"):
            CachedMaps(estimator, str(tmp_path))
    with pytest.raises(ValueError, match="gigabytes must be positive"):
        CachedMaps(Espirit(), gigabytes=0)


def test_maps_that_depend_on_the_noise_are_kept_apart(tmp_path):
    sample, _, _ = scene()
    told = sample.replace(noise=torch.full(sample.kspace.shape[:-3], 0.5))
    for one in (sample, told):
        kept = cached(tmp_path, threshold=None)(one)
        torch.testing.assert_close(kept, Espirit(threshold=None)(one), rtol=1e-4, atol=1e-4)


def test_entries_of_another_user_serve(tmp_path, monkeypatch):
    sample, _, _ = scene()
    cached(tmp_path)(sample)

    def denied(*_):
        raise PermissionError

    monkeypatch.setattr("os.utime", denied)
    again = cached(tmp_path)
    again(sample)
    assert again.sensitivity._calls == 0


def test_nothing_but_entries_is_ever_changed(tmp_path):
    tally = run(tmp_path, 120)
    assert min(tally[way, "done"] for way in ("write", "read", "clean")) > 20
    assert tally["write", "refused"] > 20 and tally["removed"] > 20 and tally["theirs, kept"] > 100


def test_a_folder_of_raw_data_is_refused(tmp_path):
    for name in ("scan.npz", "0" * 32 + ".npz"):
        np.savez(tmp_path / name, kspace=np.ones((2, 3, 4), np.complex64))
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    cache = CachedMaps(Espirit(), str(tmp_path), gigabytes=1e-9)
    with pytest.raises(
        OutputError, match=rf"{tmp_path} is no cache.*2 files.*scan\.npz.*new or emp"
    ):
        cache(scene()[0])
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_files_put_into_a_cache_later_stay(tmp_path):
    cached(tmp_path)(scene()[0])
    np.savez(tmp_path / ("a" * 32 + ".npz"), kspace=np.ones(3))
    CacheFolder(tmp_path, 1e-9).clean()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["CACHEDIR.TAG", "a" * 32 + ".npz"]
    assert (tmp_path / "CACHEDIR.TAG").read_text().startswith("Signature: 8a477f597d28d172789f0688")
