"""Frames that are reconstructed together, in windows: inference, training and validation."""

import weakref
from dataclasses import replace
from itertools import chain, pairwise

import pytest
import torch

from mrirecon.data.batches import Batches, VolumeBatches
from mrirecon.data.datamodule import DataModule
from mrirecon.data.dataset import SliceDataset
from mrirecon.data.series import joint_windows, series_of_planes
from mrirecon.data.transforms import Compose, Normalize, RssTarget, Undersample
from mrirecon.errors import ConfigError
from mrirecon.fourier import ifft
from mrirecon.image import complex_image, root_sum_of_squares
from mrirecon.inference import reconstruct_scan
from mrirecon.reconstructors.base import FrameWindows, Reconstructor
from mrirecon.sampling import RandomLines
from mrirecon.scan import Frame, Scan
from mrirecon.training.module import ReconstructionModule
from mrirecon.training.objectives.base import Supervised
from mrirecon.training.objectives.ssdu import Ssdu
from tests import scenes
from tests.training import runs

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers.*"),
    pytest.mark.filterwarnings("ignore:.*LeafSpec.*:FutureWarning"),
]


class Film(Scan):
    """Frames of two slices, each brighter than the one before."""

    def __init__(self, frames, slices=2, subject=0):
        self.scan = scenes.scan(subject, matrix=(12, 10), slices=slices, coils=2)
        self.still = list(self.scan)
        self.header = replace(self.scan.header, slices=slices, frames=tuple(frames))
        self.read, self.alive, self.most = [], [], 0

    def prepare(self, sample):
        prepared = Normalize()(sample)
        self.alive += map(weakref.ref, (sample.kspace, prepared.kspace))
        self.alive = [one for one in self.alive if one() is not None]
        self.most = max(self.most, len(self.alive))
        return prepared

    def _read(self, index):
        frame, number = divmod(index, self.header.slices)
        still = self.still[number]
        kspace = (1 + frame) * still.kspace
        self.read.append(index)
        return replace(still, kspace=kspace, key=(self.header.name, index), target=None, peak=None)


class Smooth(Reconstructor):
    """The mean of each frame and the ones before and after it."""

    joint = True

    def __init__(self, size=None, overlap=0, in_time=True):
        super().__init__()
        self.windows = FrameWindows(size, overlap, in_time)
        self.factor = torch.nn.Parameter(torch.ones(()))
        self.seen = []

    def forward(self, sample):
        self.seen.append((sample.key, sample.scale))
        image = complex_image(root_sum_of_squares(ifft(sample.kspace)))
        around = torch.cat([image[:1], image, image[-1:]])
        return self.factor * (around[:-2] + around[1:-1] + around[2:]) / 3


TIME = [Frame(repetition=r) for r in range(23)]


@pytest.mark.parametrize("frames", [1, 2, 5, 8, 9, 23, 100])
@pytest.mark.parametrize(("size", "overlap"), [(None, 0), (1, 0), (8, 0), (8, 1), (8, 3), (5, 2)])
def test_windows_keep_every_frame_once_and_know_those_around_it(frames, size, overlap):
    windows = FrameWindows(size, overlap).of(frames)
    assert list(chain.from_iterable(kept for _, kept in windows)) == list(range(frames))
    assert {len(window) for window, _ in windows} == {min(frames, size or frames)}
    for window, kept in windows:
        assert window.start <= kept.start - overlap or window.start == 0
        assert window.stop >= kept.stop + overlap or window.stop == frames
    if size == 8 and overlap == 1:
        assert len(windows) == max(1, -(-(frames - 2) // 6))  # no more than needed


@pytest.mark.parametrize(("size", "overlap"), [(2, 1), (0, 0), (4, -1), (6, 3)])
def test_windows_without_frames_of_their_own_are_refused(size, overlap):
    with pytest.raises(ValueError, match=r"window|overlap"):
        FrameWindows(size, overlap)


def test_time_runs_through_one_contrast_and_one_set():
    frames = [
        Frame(contrast=c, set=s, repetition=r) for r in range(3) for c in range(2) for s in (0, 1)
    ]
    header = Film(frames).header
    series = list(series_of_planes(header, FrameWindows(in_time=True)))
    assert len(series) == 8 and series[0] == (0, 8, 16) and series[-1] == (7, 15, 23)
    assert [len(planes) for planes in series_of_planes(header, FrameWindows())] == [12, 12]
    cine = Film([Frame(phase=p, repetition=r) for r in range(2) for p in range(5)]).header
    assert [w.planes for w in joint_windows(cine, FrameWindows(in_time=True))][:2] == [
        (0, 2, 4, 6, 8), (10, 12, 14, 16, 18),
    ]  # fmt: skip


def test_long_series_come_window_by_window_and_few_frames_are_held():
    whole, parts = Film(TIME), Film(TIME)
    expected = reconstruct_scan(whole, Smooth(), whole.prepare)
    method = Smooth(6, 1)
    found = reconstruct_scan(parts, method, parts.prepare)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    assert whole.most >= 23 and parts.most <= 2 * 6  # a window, and what the next one shares
    assert sorted(set(parts.read)) == list(range(46)) and len(parts.read) <= 46 + 4
    assert all(len(key) == 6 and (scale == scale[0]).all() for key, scale in method.seen)
    few = Film(TIME)
    some = reconstruct_scan(few, Smooth(6, 1), Normalize(), planes=[20, 3])
    torch.testing.assert_close(some, expected[[20, 3]], rtol=1e-4, atol=1e-4)
    assert len(few.read) == 12


def data(frames=None, val=(), **options):
    drawn = Compose([RssTarget(), Undersample(RandomLines(2, acs=4), "random"), Normalize()])
    train = SliceDataset([Film(TIME), Film(TIME[:3], 1, 1), Film(TIME[:8], 1, 2)], drawn)
    loaders = DataModule(
        train,
        SliceDataset(list(val) or [Film(TIME, 1, 5)], drawn),
        frames=frames,
        seed=3,
        **options,
    )
    loaders.provide(Smooth(6, 1))
    return loaders


@pytest.mark.parametrize(("frames", "length"), [(4, 4), (None, 6), (50, 23)])
def test_batches_of_training_are_consecutive_frames_of_a_slice(frames, length):
    loaders = data(frames)
    slices, batches = loaders.sets["train"], loaders._training_batches(0, 1)
    assert len(batches) == len(list(batches)) == 2 * -(-23 // length) + 1 + -(-8 // min(8, length))
    seen, starts = set(), set()
    for epoch in range(12):
        batches.set_epoch(epoch)
        for number, batch in enumerate(batches):
            places = [slices.place(index) for index in batch.indices]
            assert len({name for name, _ in places}) == 1
            steps = {b - a for (_, a), (_, b) in pairwise(places)}
            assert steps == {slices.header(batch.indices[0]).slices}
            assert len(places) in {length, 3, min(8, length)} and len(places) == batches.size(
                number
            )
            seen |= set(batch.indices)
            starts.add(places[0])
    assert seen == set(range(len(slices)))
    assert len(starts) > 3 or length == 23
    again = data(frames)._training_batches(0, 1)
    again.set_epoch(11)
    again.start = (11, 2)
    assert list(again) == list(batches)[2:]
    halves = [list(data(frames)._training_batches(rank, 2)) for rank in range(2)]
    for one, other in zip(*halves, strict=True):
        assert len(one.indices) == len(other.indices)


@pytest.mark.parametrize("late", [False, True])
def test_frames_of_a_batch_share_units_and_what_is_random(late):
    loaders = data(4)
    slices = loaders.sets["train"]
    if late:
        slices.transform, slices.batch_transform = Compose([]), slices.transform
    order = next(iter(loaders._training_batches(0, 1)))
    batch = slices.finish(Batches(slices)[order])
    assert (batch.scale == batch.scale[0]).all() and (batch.mask == batch.mask[:1]).all()
    raw = torch.stack([slices.scans[0][0].kspace] * 4)  # of the first film, whatever the frame
    if (
        slices.place(order.indices[0])[1] % 2 == 0
        and batch.key[0][0] == slices.scans[0].header.name
    ):
        frames = torch.tensor([1 + key[1] // 2 for key in batch.key])[:, None, None, None]
        found = batch.kspace * batch.scale[:, None, None, None]
        torch.testing.assert_close(found, raw * frames * batch.mask.unsqueeze(1))
    other = slices.finish(Batches(slices)[replace(order, epoch=5)])
    assert not torch.equal(other.mask, batch.mask)


def test_validation_scores_each_frame_once_as_inference_makes_it(tmp_path):
    film = Film(TIME, 1, 5)
    loaders = data(4, val=[film])
    slices = loaders.sets["val"]
    windows = VolumeBatches(slices, 1)
    kept = [b.indices[windows.kept(n)] for n, b in enumerate(windows)]
    assert list(chain.from_iterable(kept)) == list(range(23))
    assert slices.together(11) == ((8, 9, 10, 11, 12, 13), 3)  # drawn as part of its window
    module = ReconstructionModule(Smooth(6, 1), Supervised(), runs.adam, runs.RECIPE)
    added = []
    module._volumes.add = lambda sample, images, kept: added.extend(
        zip(sample.key[kept], images[kept] * sample.scale[kept, None, None], strict=True)
    )
    runner = runs.trainer(tmp_path)
    runner.validate(module, loaders, verbose=False)
    assert [key[1] for key, _ in added] == list(range(23))
    expected = reconstruct_scan(film, Smooth(), slices.transform)
    assert len(added) == len(expected)


def test_a_joint_method_is_trained(tmp_path):
    model = Smooth(6, 1)
    _, module = runs.fit(tmp_path, model, epochs=2, loaders=data(4))
    assert model.factor.item() != 1 and module.scores["val/ssim"] > 0
    assert all(len(key) in (3, 4, 6) for key, _ in model.seen)


def test_what_does_not_fit_frames_is_refused():
    loaders = data(batch_size=1)
    with pytest.raises(ConfigError, match=r"data\.frames=4: VarNet reconstructs each frame by it"):
        data(4).provide(runs.varnet())
    several = DataModule(loaders.sets["train"], loaders.sets["val"], batch_size=2)
    with pytest.raises(ConfigError, match=r"data\.batch_size=2: Smooth takes the frames of one"):
        several.provide(Smooth())
    with pytest.raises(ConfigError, match=r"objective\.masks=2: Smooth would take the copies"):
        Ssdu(masks=2)(Smooth(), loaders.sets["train"].prepared(0))
