"""Neighbouring slices and the protocol, from the scan to the model."""

import pickle
import weakref
from dataclasses import replace

import pytest
import torch

from mrirecon.data.batches import Batch, Batches
from mrirecon.data.coil_compression import CompressCoils, CompressCoilsGeometrically, Whiten
from mrirecon.data.collate import collate
from mrirecon.data.datamodule import DataModule
from mrirecon.data.dataset import SliceDataset
from mrirecon.data.neighbors import Neighbors, with_neighbors
from mrirecon.data.series import same_units
from mrirecon.data.transforms import Compose, Normalize, RssTarget, Undersample
from mrirecon.errors import ConfigError
from mrirecon.fourier import ifft
from mrirecon.inference import reconstruct_scan, slices_with_neighbors
from mrirecon.reconstructors.base import Reconstructor
from mrirecon.reconstructors.classical.partial_fourier import Pocs
from mrirecon.sampling import RandomLines
from mrirecon.scan import Frame, Scan, SequenceParameters, protocol_of
from mrirecon.sensitivity import CachedMaps, Espirit
from mrirecon.training.objectives.equivariant import EquivariantImaging
from mrirecon.training.objectives.measured_kspace import reconstruct_with_maps
from mrirecon.training.objectives.ssdu import Ssdu
from mrirecon.types import Sample
from tests import scenes
from tests.training import runs

FRAMES = (Frame(phase=0), Frame(phase=1), Frame(phase=2))


class Movie(Scan):
    """A few slices as if they were frames; each is another slice, so that all differ."""

    def __init__(self, slices=2, frames=FRAMES, subject=0):
        self.scan = scenes.scan(subject, matrix=(20, 18), slices=slices * len(frames), coils=3)
        self.header = replace(self.scan.header, slices=slices, frames=frames)
        self.samples = list(self.scan)
        self.read = []

    def _read(self, index):
        self.read.append(index)
        return self.samples[index]


class Toy(Reconstructor):
    """The coils' mean of the slice and, weighted, of its neighbours in order."""

    def __init__(self, context=1, along="slices", joint=False):
        super().__init__()
        self.context, self.context_along, self.joint = context, along, joint
        self.weight = torch.nn.Parameter(torch.linspace(0.2, 0.9, 2 * max(context, 0)))
        self.keys = []

    def forward(self, sample):
        self.keys += list(zip(sample.key, sample.neighbors.key, strict=True))
        near = ifft(sample.neighbors.kspace).mean(-3)
        return ifft(sample.kspace).mean(-3) + (near * self.weight[:, None, None]).sum(-3)


def numbers(keys):
    return [key[1] for key in keys]


@pytest.mark.parametrize(
    ("reach", "index", "expected"),
    [(1, 0, (0, 1)), (1, 4, (3, 4)), (1, 5, (5, 6)), (2, 2, (0, 1, 3, 4)), (2, 6, (5, 5, 7, 8))],
)
def test_the_edge_of_the_stack_is_repeated_and_frames_are_kept_apart(reach, index, expected):
    header = replace(scenes.scan(slices=5).header, frames=FRAMES[:2])
    assert Neighbors(reach).around(header, index) == expected


def test_time_runs_through_phases_of_one_repetition_or_through_repetitions():
    def around(frames, frame):
        header = replace(scenes.scan(slices=10).header, frames=frames)
        return [i // 10 for i in Neighbors(1, "frames").around(header, 10 * frame + 7)]

    echoes = [Frame(contrast=c, repetition=r) for r in range(3) for c in range(2)]
    assert around(tuple(echoes), 3) == [1, 5] and around(tuple(echoes), 0) == [0, 2]
    cine = [Frame(phase=p, repetition=r) for r in range(2) for p in range(3)]
    assert around(tuple(cine), 4) == [3, 5] and around(tuple(cine), 2) == [1, 2]


@pytest.mark.parametrize(
    ("frames", "reach", "frame", "expected"),
    [
        (5, 2, 0, [3, 4, 1, 2]), (5, 2, 4, [2, 3, 0, 1]), (4, 2, 1, [3, 0, 2, 3]),
        (3, 2, 0, [2, 2, 1, 1]), (2, 2, 1, [0, 0, 0, 0]), (1, 1, 0, [0, 0]),
    ],
)  # fmt: skip
def test_a_cycle_has_no_ends(frames, reach, frame, expected):
    """Of three echoes the outer ones are seen twice, as PromptMR was trained."""
    phases = tuple(Frame(phase=p) for p in range(frames))
    header = replace(scenes.scan(slices=2).header, frames=phases)
    around = Neighbors(reach, "half_cycle").around(header, 2 * frame + 1)
    assert around == tuple(2 * other + 1 for other in expected)
    offsets = [o for o in range(-reach, reach + 1) if o]
    around = Neighbors(reach, "cycle").around(header, 2 * frame + 1)
    assert around == tuple(2 * ((frame + o) % frames) + 1 for o in offsets)


def test_the_frames_of_a_cycle_are_read_one_after_the_other():
    movie, method = Movie(), Toy(along="cycle")
    reconstruct_scan(movie, method, lambda sample: sample)
    assert sorted(movie.read) == list(range(6))
    shown = {key[1]: numbers(near) for key, near in method.keys}
    assert shown[0] == [4, 2] and shown[5] == [3, 1]


def test_a_negative_number_of_neighbours_is_refused():
    with pytest.raises(ValueError, match="context must not be negative, got -1"):
        Neighbors.of(Toy(-1))


@pytest.mark.parametrize("along", ["slices", "frames"])
@pytest.mark.parametrize("joint", [False, True])
@pytest.mark.parametrize("batch_size", [1, 4])
def test_inference_is_that_of_windows_made_by_hand_and_reads_each_slice_once(
    along, joint, batch_size
):
    scan = Movie(slices=3)
    model = Toy(1, along, joint)
    volume = reconstruct_scan(scan, model, Undersample(scenes.PATTERN), batch_size=batch_size)
    assert sorted(scan.read) == list(range(9))
    mask = Undersample(scenes.PATTERN)(scan[0]).mask
    images = [ifft(sample.kspace * mask).mean(-3) for sample in scan.samples]
    weight = model.weight.detach()
    for index in range(9):
        frame, number = divmod(index, 3)
        if along == "slices":
            before, after = 3 * frame + max(number - 1, 0), 3 * frame + min(number + 1, 2)
        else:
            before, after = 3 * max(frame - 1, 0) + number, 3 * min(frame + 1, 2) + number
        expected = images[index] + weight[0] * images[before] + weight[1] * images[after]
        torch.testing.assert_close(volume[index], expected.abs(), rtol=1e-4, atol=1e-5)


def test_only_the_window_is_held():
    scan, held = Movie(slices=6, frames=FRAMES[:1]), []
    for index, sample in enumerate(slices_with_neighbors(scan, range(6), Neighbors(1))):
        held.append(max(scan.read) - index)
        assert sample.key[1] == index
        assert numbers(sample.neighbors.key) == [max(index - 1, 0), min(index + 1, 5)]
        assert sample.noise == 1 and sample.neighbors.noise.tolist() == [1, 1]
    assert held == [1, 1, 1, 1, 1, 0]  # nothing is read before it is needed


class Counting(Movie):
    """Counts how many of the slices that it has read are still held."""

    def __init__(self, *options):
        super().__init__(*options)
        self.known, self.most = [], 0

    def _read(self, index):
        sample = super()._read(index)
        sample = sample.replace(kspace=sample.kspace.clone())
        self.known.append(weakref.ref(sample.kspace))
        self.most = max(self.most, sum(ref() is not None for ref in self.known))
        return sample


@pytest.mark.parametrize(("along", "slices", "frames"), [("slices", 8, 1), ("frames", 4, 3)])
def test_no_more_than_the_window_is_in_memory(along, slices, frames):
    scan = Counting(slices, FRAMES[:frames])
    reconstruct_scan(scan, Toy(1, along), lambda sample: sample)
    assert scan.most <= 4  # three, and the one that the latest batch was made of


@pytest.mark.filterwarnings("ignore:.*does not have many workers.*")
@pytest.mark.filterwarnings("ignore:.*LeafSpec.*:FutureWarning")
@pytest.mark.parametrize("cache", [False, True])
def test_training_yields_the_windows_of_inference(cache, tmp_path):
    scans = [Movie(subject=10), Movie(subject=11)]
    transform = Compose([RssTarget(), Undersample(RandomLines(3, acs=8)), Normalize()])
    train = SliceDataset(scans, transform, cache)
    val = SliceDataset([Movie(subject=1)], transform, cache)
    model = Toy(1)
    data = DataModule(train, val, batch_size=3, seed=1)
    runs.fit(tmp_path, model, loaders=data)  # the model declares, Lightning sets it up
    trained = [(key, numbers(near)) for key, near in model.keys if key[0] != scans[0].header.name]
    assert {(number, *near) for (_, number), near in trained} == {
        (0, 0, 1), (1, 0, 1), (2, 2, 3), (3, 2, 3), (4, 4, 5), (5, 4, 5),
    }  # fmt: skip
    if cache:
        assert sorted(scans[0].read) == list(range(6))
    ours = train[7]
    theirs = transform(list(slices_with_neighbors(scans[1], range(6), Neighbors(1)))[1])
    assert ours.key == theirs.key and ours.neighbors.key == theirs.neighbors.key
    assert ours.neighbors.kspace.equal(theirs.neighbors.kspace) and ours.kspace.equal(theirs.kspace)
    assert ours.neighbors.target is None and ours.target is not None
    again = pickle.loads(pickle.dumps(train))  # for worker processes
    assert again[7].neighbors.kspace.equal(ours.neighbors.kspace)


def test_the_data_set_reads_no_more_than_it_needs():
    scan = Movie(slices=6, frames=FRAMES[:1])
    data = SliceDataset([scan], lambda sample: sample)
    for index in (0, 1, 1):
        data[index]
    assert scan.read == [0, 1, 1]
    data.neighbors = Neighbors(1)
    scan.read.clear()
    for index in range(6):
        data[index]
    assert scan.read == [0, 1, 2, 3, 4, 5]


def test_a_declaration_reaches_every_set():
    data = runs.data(1, test=SliceDataset([scenes.scan(5)], lambda sample: sample))
    data.provide(Toy(2))
    assert [slices.neighbors.reach for slices in data.sets.values()] == [2, 2, 2]
    data.provide(runs.varnet())
    assert next(iter(data.train_dataloader())).neighbors is None
    assert Neighbors.of(Pocs(Toy(2, "frames", True))) == Neighbors(2, "frames")
    assert Pocs(Toy(2, "frames", True)).joint


def window(reach=1, index=1, **options):
    scan = scenes.scan(slices=4, coils=6, **options)
    *_, sample = slices_with_neighbors(scan, [index], Neighbors(reach))
    return sample, [scan[i] for i in Neighbors(reach).around(scan.header, index)]


def test_one_mask_is_drawn_for_the_window_within_what_was_acquired():
    sample, near = window()
    acquired = torch.arange(36)[None] >= 15  # partial Fourier, in one of the neighbours
    near[1] = near[1].replace(kspace=near[1].kspace * acquired, mask=acquired)
    draw = Undersample(RandomLines(3, acs=8), seed="random")
    batches = Batches(SliceDataset([scenes.scan()], draw))
    torch.manual_seed(3)
    alone = draw(sample.replace(neighbors=None))
    torch.manual_seed(3)
    out = draw(with_neighbors(sample, near))
    assert out.mask.equal(alone.mask) and out.acs.equal(alone.acs)
    for got, one, measured in zip(
        out.neighbors.kspace, near, (torch.ones_like(acquired), acquired), strict=True
    ):
        assert got.equal(one.kspace * (alone.mask & measured))
    assert out.neighbors.mask[1].equal(alone.mask & acquired)
    assert out.neighbors.acs[0].tolist() == [40, 8] and out.neighbors.acs[1, 1] < 8
    without = batches[Batch((0,), 7, 2)].mask
    batches.slices.neighbors = Neighbors(2)  # a neighbour uses up no random numbers
    assert batches[Batch((0,), 7, 2)].mask.equal(without)


def test_the_slice_decides_the_units_and_has_the_target():
    sample, near = window()
    sample = sample.replace(target=None)
    out = Compose([RssTarget(), Normalize()])(sample)
    alone = Normalize()(sample.replace(neighbors=None))
    assert out.scale.equal(alone.scale) and out.neighbors.target is None
    torch.testing.assert_close(out.neighbors.scale, alone.scale.expand(2))
    torch.testing.assert_close(out.neighbors.noise, alone.noise.expand(2))
    for got, one in zip(out.neighbors.kspace, near, strict=True):
        torch.testing.assert_close(got, one.kspace / alone.scale)
    louder = with_neighbors(
        sample.replace(kspace=3 * sample.kspace),
        [one.replace(kspace=3 * one.kspace) for one in near],
    )
    quiet = with_neighbors(sample, near)
    batch = Normalize()(collate([quiet, louder]))
    torch.testing.assert_close(batch.neighbors.kspace[1], batch.neighbors.kspace[0])
    torch.testing.assert_close(batch.neighbors.scale[1], 3 * batch.neighbors.scale[0])


def test_frames_in_common_units_keep_their_neighbours_in_the_same():
    bright, dim = window()[0], window(index=2)[0]
    frames = [Normalize()(bright), Normalize()(dim.divided(torch.tensor(5.0)))]
    batch = same_units(collate(frames))
    torch.testing.assert_close(batch.scale[0], batch.scale[1])
    for number, raw in enumerate((bright, dim)):
        scale = batch.scale[number]
        torch.testing.assert_close(batch.kspace[number] * scale, raw.kspace)
        torch.testing.assert_close(batch.neighbors.kspace[number] * scale, raw.neighbors.kspace)


@pytest.mark.parametrize(
    "step",
    [
        CompressCoils(3),
        CompressCoilsGeometrically(3),
        Whiten(torch.diag(torch.arange(1.0, 7.0)).to(torch.complex64)),
    ],
)
def test_neighbours_share_the_virtual_coils(step):
    sample, near = window(with_maps=True)
    told = {name: getattr(sample, name) for name in ("noise", "protocol", "region")}
    near = [one.replace(**told) for one in near]
    sample = with_neighbors(sample, [sample, *near])  # the slice beside itself tells the matrix
    out = step(sample)
    torch.testing.assert_close(out.neighbors.kspace[0], out.kspace, rtol=1e-3, atol=1e-2)
    torch.testing.assert_close(out.neighbors.maps[0], out.maps, rtol=1e-3, atol=1e-3)
    own = step(near[0]).kspace  # a matrix of its own would be another
    same = isinstance(step, Whiten)
    assert torch.allclose(out.neighbors.kspace[1], own, rtol=1e-3, atol=1e-2) == same
    if same:
        assert out.neighbors.noise.tolist() == [1, 1, 1]
    both = step(collate([sample, sample]))  # and with a batch axis
    torch.testing.assert_close(both.neighbors.kspace[1], out.neighbors.kspace, rtol=1e-3, atol=1e-2)


def test_geometric_compression_looks_at_the_neighbours_readouts():
    sample, near = window()
    ragged = torch.ones(40, 36, dtype=torch.bool)
    ragged[:5, 3] = False
    near[0] = near[0].replace(mask=ragged)
    with pytest.raises(ConfigError, match="needs a fully sampled readout"):
        CompressCoilsGeometrically(3)(with_neighbors(sample, near))


def test_maps_of_neighbours_are_their_own_from_the_cache_too(tmp_path):
    sample, near = window()
    transform = Undersample(scenes.PATTERN)
    batch = collate([transform(sample)])
    cached = CachedMaps(Espirit(calibration=12), str(tmp_path))
    cached(batch)  # the slice itself is known by now
    for _ in range(2):
        maps = cached(batch.neighbors)
        for number, one in enumerate(near):
            expected = Espirit(calibration=12)(
                collate([transform(one).replace(noise=sample.noise)])
            )
            torch.testing.assert_close(maps[0, number], expected[0], rtol=1e-3, atol=1e-3)
    assert len(list(tmp_path.glob("*.coilmaps"))) == 3


def test_ssdu_holds_the_same_positions_out_of_the_neighbours():
    transform = Compose([Undersample(scenes.PATTERN), Normalize()])
    batch = collate([transform(window(index=i)[0]) for i in (0, 1)])
    for objective in (Ssdu(), Ssdu(lines=True), Ssdu(center=(4, 4))):
        seen, held = objective.split(batch)
        assert held.any() and not (seen.neighbors.mask & held[:, None]).any()
        assert seen.neighbors.kspace[0, 0].equal(seen.kspace[0])  # the end of the stack is repeated
        assert not (seen.neighbors.kspace * held[:, None, None]).any()
        assert (seen.neighbors.acs <= seen.acs[:, None]).all()


def test_ssdu_repeats_neighbours_with_their_slice():
    class Watch(Toy):
        def forward(self, sample):
            self.sample = sample
            return super().forward(sample)

    transform = Compose([Undersample(scenes.PATTERN), Normalize()])
    batch = collate([transform(window(index=i, with_maps=True)[0]) for i in (1, 2)])
    model = Watch()
    Ssdu(masks=3)(model, batch).backward()
    assert model.weight.grad.isfinite().all()
    assert [key[1] for key in model.sample.key] == [1, 1, 1, 2, 2, 2]
    assert [numbers(key) for key in model.sample.neighbors.key] == [[0, 2]] * 3 + [[1, 3]] * 3
    assert model.sample.neighbors.kspace.shape[:2] == (6, 2)


def test_maps_of_neighbours_are_not_taken_for_those_of_the_slice():
    class WithMaps(Toy):
        def __init__(self):
            super().__init__()
            self.sensitivity = Espirit(calibration=12)

        def forward(self, sample):
            self.own = self.sensitivity(sample)
            self.near = self.sensitivity(sample.neighbors)
            return super().forward(sample)

    class WithWindows(WithMaps):
        def forward(self, sample):
            image = super().forward(sample)
            before, after = sample.neighbors.kspace.unsqueeze(2).unbind(1)
            whole = torch.cat([before, sample.kspace.unsqueeze(1), after], 1)
            mask = sample.mask.unsqueeze(1).expand(-1, 3, -1, -1)
            noise = sample.noise[:, None].expand(-1, 3).contiguous()
            self.sensitivity(
                Sample(whole, mask, acs=sample.acs[:, None].repeat(1, 3, 1), noise=noise)
            )
            return image

    batch = collate([Undersample(scenes.PATTERN)(window()[0])])
    for model in (WithMaps(), WithWindows()):
        _, maps = reconstruct_with_maps(model, batch)
        assert maps.shape == batch.kspace.shape
        torch.testing.assert_close(maps, model.own, rtol=1e-4, atol=1e-4)
        assert not torch.allclose(maps, model.near[:, 0], atol=1e-2)


def test_equivariant_imaging_says_that_it_knows_no_neighbours():
    batch = collate([window(with_maps=True)[0]])
    with pytest.raises(ConfigError, match="Toy sees its neighbours too"):
        EquivariantImaging()(Toy(), batch)


def completed(sequence):
    """A Sample that was told how its contrast was made."""
    sample = Sample(torch.ones(1, 4, 4, dtype=torch.complex64), torch.ones(1, 4, dtype=torch.bool))
    return sample.completed(
        key=("a", 0), region=(4, 4), frame=0, protocol=vars(sequence), white=False
    )


def test_the_protocol_is_that_of_the_header_and_of_the_echo():
    sequence = SequenceParameters(repetition_time=500.0, echo_time=10.0, field_strength=0.3)
    frames = (Frame(contrast=0), Frame(contrast=1))
    header = replace(
        scenes.scan().header, sequence=sequence, frames=frames, echo_times=(11.0, 22.0)
    )
    nan = torch.nan
    for frame, echo in enumerate((11.0, 22.0)):
        expected = torch.tensor([0.3, 500.0, echo, nan, nan])
        told = completed(replace(sequence, echo_time=echo)).protocol
        torch.testing.assert_close(told, expected, equal_nan=True)
        assert protocol_of(header, frame) == replace(sequence, echo_time=echo)
    silent = completed(SequenceParameters()).protocol
    assert silent.isnan().all() and silent.shape == (5,)


def test_training_and_inference_are_told_the_same_protocol():
    scan = scenes.scan()
    (read,) = slices_with_neighbors(scan, [1], Neighbors())
    batch = collate([SliceDataset([scan], Normalize())[1]])
    torch.testing.assert_close(batch.protocol[0], read.protocol, equal_nan=True)
    assert read.protocol[0] == scan.header.sequence.field_strength
    known = Sample(**{**vars(read), "protocol": torch.zeros(5)})

    class Own(Movie):
        def _read(self, index):  # noqa: ARG002
            return known

    (kept,) = slices_with_neighbors(Own(), [0], Neighbors())
    assert not kept.protocol.any()  # a reader that knows better is believed
