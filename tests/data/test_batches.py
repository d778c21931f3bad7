import pytest
import torch

from mrirecon.data.batches import Batch, Batches, TrainingBatches, VolumeBatches, derived_seed
from mrirecon.data.collate import collate
from mrirecon.data.dataset import SliceDataset
from mrirecon.data.transforms import Undersample
from mrirecon.errors import ShapeError
from mrirecon.sampling import RandomLines
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
        parts = [list(VolumeBatches(DATA, 2, rank, processes)) for rank in range(processes)]
        assert sorted((b for part in parts for b in part), key=lambda b: b.indices) == alone
        names = [{DATA.place(index)[0] for index in indices(part)} for part in parts]
        assert sum(map(len, names)) == len(SLICES)  # no scan in two processes
    loads = [len(indices(VolumeBatches(DATA, 1, rank, 2))) for rank in range(2)]
    assert loads == [5, 5]


def test_training_uses_every_slice_in_an_order_per_epoch():
    batches = TrainingBatches(DATA, 3, seed=5)
    first = list(batches)
    assert sorted(indices(first)) == list(range(10)) and len(batches) == len(first) == 4
    batches.set_epoch(1)
    assert indices(batches) != indices(first) and {b.epoch for b in batches} == {1}
    parts = [list(TrainingBatches(DATA, 2, 5, rank, 3)) for rank in range(3)]
    assert [len(p) for p in parts] == [2, 2, 2]  # equally many, or the processes would wait
    assert {index for part in parts for index in indices(part)} == set(range(10))


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
