import pytest
import torch

from mrirecon.data.batches import Batch, Batches, TrainingBatches, VolumeBatches, derived_seed
from mrirecon.data.collate import collate
from mrirecon.data.datamodule import DataModule
from mrirecon.data.dataset import SliceDataset
from mrirecon.data.transforms import Compose, RssTarget, Undersample
from mrirecon.epoch import current_epoch
from mrirecon.errors import ConfigError, ShapeError
from mrirecon.sampling import DrawnMask, RandomLines, SamplingPattern
from mrirecon.scan import Scan
from mrirecon.types import Sample
from tests import scenes

SLICES = (3, 1, 4, 2)
DATA = SliceDataset(
    [scenes.scan(subject, slices=n) for subject, n in enumerate(SLICES)],
    Undersample(RandomLines(3, acs=6), seed="random"),
)


def indices(batches):
    return [index for batch in batches for index in batch.indices]


def test_every_volume_is_in_one_process_and_in_whole_batches():
    alone = list(VolumeBatches(DATA, 2))
    assert [b.indices for b in alone] == [(0, 1), (2,), (3,), (4, 5), (6, 7), (8, 9)]
    for processes in (2, 3, 6):
        all_of_them = [VolumeBatches(DATA, 2, rank, processes) for rank in range(processes)]
        assert len({len(list(batches)) for batches in all_of_them}) == 1  # nobody waits or leaves
        assert {len(batches) for batches in all_of_them} == {len(list(all_of_them[0]))}
        parts = [list(batches)[: batches.scored] for batches in all_of_them]
        assert sorted((b for part in parts for b in part), key=lambda b: b.indices) == alone
        names = [{DATA.place(index)[0] for index in indices(part)} for part in parts]
        assert sum(map(len, names)) == len(SLICES)  # no scan in two processes
    assert [VolumeBatches(DATA, 1, rank, 2).scored for rank in range(2)] == [5, 5]


def test_training_uses_every_slice_in_an_order_per_epoch():
    batches = TrainingBatches(DATA, 3, seed=5)
    first = list(batches)
    assert sorted(indices(first)) == list(range(10)) and len(batches) == len(first) == 4
    batches.set_epoch(1)
    assert indices(batches) != indices(first) and {b.epoch for b in batches} == {1}
    parts = [list(TrainingBatches(DATA, 2, 5, rank, 3)) for rank in range(3)]
    assert [len(p) for p in parts] == [2, 2, 2]  # equally many, or the processes would wait
    assert {index for part in parts for index in indices(part)} == set(range(10))


MIXED = SliceDataset(
    [
        scenes.scan(0, matrix=(20, 18), slices=4),
        scenes.scan(1, matrix=(20, 18), slices=3, coils=3),
        scenes.scan(2, matrix=(24, 18), slices=1),
        scenes.scan(3, matrix=(20, 18), slices=3),
    ],
    Undersample(RandomLines(3, acs=6), seed="random"),
)


def test_slices_of_different_sizes_and_coils_form_batches_of_their_own():
    batches = TrainingBatches(MIXED, 2, seed=5)
    first = list(batches)
    assert sorted(indices(first)) == list(range(11)) and len(batches) == len(first) == 4 + 2 + 1
    assert [len(b.indices) for b in first] == [batches.size(n) for n in range(7)]
    for batch in first:
        assert Batches(MIXED)[batch].kspace.shape[0] == len(batch.indices)
    assert first == list(TrainingBatches(MIXED, 2, seed=5))
    assert first != list(TrainingBatches(MIXED, 2, seed=6))
    batches.set_epoch(1)
    second = list(batches)
    assert [MIXED.form(b.indices[0]) for b in second] != [MIXED.form(b.indices[0]) for b in first]
    assert {b.indices for b in second} != {b.indices for b in first}
    assert sorted(indices(second)) == list(range(11))
    assert [len(b.indices) for b in second] == [batches.size(n) for n in range(7)]


@pytest.mark.parametrize("processes", [2, 3, 5])
def test_processes_step_through_batches_of_one_form_and_size(processes):
    parts = [TrainingBatches(MIXED, 2, 5, rank, processes) for rank in range(processes)]
    steps = list(zip(*parts, strict=True))
    assert all(len(part) == len(steps) for part in parts)
    for number, step in enumerate(steps):
        assert len({MIXED.form(index) for batch in step for index in batch.indices}) == 1
        assert {len(batch.indices) for batch in step} == {parts[0].size(number)}
    seen = [index for step in steps for index in indices(step)]
    assert set(seen) == set(range(11))
    # used twice: what fills the forms' 7, 3 and 1 slices up to a multiple of the processes
    assert len(seen) - 11 == sum(-count % processes for count in (7, 3, 1))


class Measured(Scan):
    """A scan as a file without a reference brings it, fully sampled or not."""

    def __init__(self, scan, pattern=None):
        self.scan, self.pattern, self.header = scan, pattern, scan.header

    def _read(self, index):
        sample = self.scan[index].replace(target=None, peak=None)
        return Undersample(self.pattern)(sample).replace(acs=None) if self.pattern else sample


def semi_supervised(on_device):
    pattern = RandomLines(2, acs=2)
    scans = [Measured(scenes.scan(s, matrix=(20, 18), slices=3), (None, pattern)[s % 2])
             for s in range(4)]  # fmt: skip
    steps = Compose([RssTarget(False), Undersample(pattern, seed="random", again=False)])
    if on_device:
        return SliceDataset(scans, Compose([]), batch_transform=steps)
    return SliceDataset(scans, steps)


@pytest.mark.parametrize("on_device", [False, True])
def test_slices_with_a_reference_and_without_form_batches_of_their_own(on_device):
    slices = semi_supervised(on_device)
    state = torch.get_rng_state()
    parts = [TrainingBatches(slices, 4, 5, rank, 2) for rank in range(2)]
    assert torch.get_rng_state().equal(state)
    found = {}
    for step in zip(*parts, strict=True):
        has_target = set()
        for batch in step:
            sample = slices.finish(Batches(slices)[batch])
            has_target.add(sample.target is not None)
            found.update(dict.fromkeys(sample.key, sample.target is not None))
        assert len(has_target) == 1  # in all processes
    expected = [k % 2 == 0 for k in range(4) for _ in range(3)]
    assert found == {slices.place(i): told for i, told in enumerate(expected)}
    assert not DATA.mixed  # nothing is read ahead where all have a reference or none


def test_a_batch_of_both_kinds_is_not_trained_on_as_if_it_had_no_reference():
    slices = semi_supervised(on_device=True)
    with pytest.raises(ConfigError, match=r"only some of .* set data.batch_size=1"):
        slices.finish(Batches(slices)[Batch((0, 3))])


class Epochs(SamplingPattern):
    """Writes the epoch into the mask."""

    def __call__(self, shape, _):
        epoch = current_epoch()
        mask = torch.ones(1, shape[1], dtype=torch.bool)
        mask[0, : 9 if epoch is None else epoch] = False
        return DrawnMask(mask, shape, 1.0)


@pytest.mark.parametrize("workers", [0, 1])
def test_the_epoch_reaches_what_draws_a_mask(workers):
    slices, other = (
        SliceDataset([scenes.scan(s, matrix=(20, 18))], Undersample(Epochs(), seed="random"))
        for s in (0, 1)
    )
    data = DataModule(slices, other, workers=workers, seed=0)
    loader = data.train_dataloader()
    for epoch in (0, 1, 7):
        loader.sampler.set_epoch(epoch)
        assert [int((~b.mask).sum()) for b in loader] == [epoch, epoch]
    assert [int((~b.mask).sum()) for b in data.val_dataloader()] == [9, 9]
    assert int((~slices[0].mask).sum()) == 9


def test_masks_depend_on_seed_epoch_and_slice_only():
    batches = Batches(DATA)
    torch.manual_seed(0)
    state = torch.get_rng_state()
    mask = batches[Batch((4, 5), 7, 2)].mask
    assert torch.get_rng_state().equal(state)
    torch.manual_seed(1)
    assert batches[Batch((5,), 7, 2)].mask[0].equal(mask[1])
    assert not mask[0].equal(mask[1])
    for other in (Batch((4,), 7, 3), Batch((4,), 8, 2)):
        assert not batches[other].mask[0].equal(mask[0])


def test_seeds_tell_their_parts_apart():
    assert derived_seed(1, 23) != derived_seed(12, 3)
    assert 0 <= derived_seed("a", 1) == derived_seed("a", 1) < 2**63


def test_neighbours_are_stacked_and_moved_with_their_slice():
    def with_neighbors(value: float) -> Sample:
        near = Sample(torch.full((2, 3, 4, 4), value + 0j), torch.ones(2, 1, 4, dtype=torch.bool))
        return Sample(
            torch.zeros(3, 4, 4, dtype=torch.complex64),
            torch.ones(1, 4, dtype=torch.bool),
            neighbors=near,
            key=("scan", int(value)),
        )

    batch = collate([with_neighbors(1.0), with_neighbors(2.0)])
    assert batch.neighbors is not None
    assert batch.neighbors.kspace.shape == (2, 2, 3, 4, 4)
    doubled = batch.map(lambda x: x + x)
    assert doubled.neighbors is not None
    assert doubled.neighbors.kspace[1].eq(4).all()
    with pytest.raises(ShapeError, match="no neighbors"):
        collate([with_neighbors(1.0), with_neighbors(1.0).replace(neighbors=None)])
