"""Methods of the measured benchmark: ours, sigpy's and BART's classical ones, and any other."""

import os
import shlex
import shutil
import subprocess
import tempfile
import time
import weakref
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from measured_cases import Case
from omegaconf import DictConfig, OmegaConf
from recon_cases import read_cfl, write_cfl
from torch import Tensor

from mrirecon import __version__
from mrirecon.commands.hydra_errors import told
from mrirecon.commands.method import GROUPS, build_methods, find_device
from mrirecon.commands.reconstruct import Settings
from mrirecon.config import settings
from mrirecon.defaults import completed
from mrirecon.errors import MriReconError
from mrirecon.files import conf_folder
from mrirecon.grammar import adapt
from mrirecon.memory_scan import SampleScan
from mrirecon.pipeline import Method, Request, run
from mrirecon.reconstructors.base import Reconstructor
from mrirecon.reconstructors.classical.cg_sense import CgSense
from mrirecon.reconstructors.classical.l1_wavelet import L1Wavelet
from mrirecon.reconstructors.classical.sigpy import SigpyL1Wavelet, SigpySense, SigpyTotalVariation
from mrirecon.reconstructors.classical.tgv import Tgv
from mrirecon.reconstructors.classical.total_variation import TotalVariation
from mrirecon.reconstructors.classical.zero_filled import ZeroFilled
from mrirecon.sensitivity import Espirit, GivenMaps, SigpyEspirit
from mrirecon.types import Sample

CG, L1, TV, TGV = "CG-SENSE", "L1-wavelet", "TV", "TGV"
CENTERS = {CG: 1e-2, L1: 4e-3, TV: 2e-3, TGV: 2e-3}
"""Middle of the weights that are tried first, in the units that ours, sigpy and BART share."""
MAPS = ("cut", "whole")
"""Maps that end where each program ends them by default, and such that go on everywhere."""
TRIED = {CG: MAPS, L1: MAPS, TV: MAPS[:1], TGV: MAPS[:1]}
"""TV on maps without an end was below the others in each of sixty comparisons."""


class Program(ABC):
    """A program with classical methods, set to one case.

    Attributes:
        name: What it is called.
        kinds: The methods that it has.
    """

    name: str
    kinds: tuple[str, ...] = (CG, L1, TV)

    def __init__(self, case: Case) -> None:
        self.case = case

    @abstractmethod
    def version(self) -> str:
        """Return the version, which is a part of the key of its results."""

    @abstractmethod
    def image(self, kind: str, maps: str, weight: float) -> Tensor:
        """Return the image ``(1, h, w)`` in the units of ``case.sample``."""


class _Torch(Program):
    """Common to ours and sigpy, which take the same arguments."""

    methods: dict[str, type]

    @cached_property
    def samples(self) -> dict[str, Sample]:
        """The case with each of the maps."""
        with torch.inference_mode():
            return {name: self.case.sample.replace(maps=self._maps(name)) for name in MAPS}

    @abstractmethod
    def _maps(self, name: str) -> Tensor:
        """Return the maps."""

    def image(self, kind: str, maps: str, weight: float) -> Tensor:
        with torch.inference_mode():
            model: Reconstructor = self.methods[kind](GivenMaps(), weight)
            return model(self.samples[maps])


class Ours(_Torch):
    name = "ours"
    kinds = (CG, L1, TV, TGV)
    methods = {CG: CgSense, L1: L1Wavelet, TV: TotalVariation, TGV: Tgv}  # noqa: RUF012

    def version(self) -> str:
        return __version__

    def _maps(self, name: str) -> Tensor:
        return (Espirit() if name == "cut" else Espirit(crop=0))(self.case.sample)


class Sigpy(_Torch):
    name = "sigpy"
    methods = {CG: SigpySense, L1: SigpyL1Wavelet, TV: SigpyTotalVariation}  # noqa: RUF012

    def version(self) -> str:
        return version("sigpy")

    def _maps(self, name: str) -> Tensor:
        return (SigpyEspirit() if name == "cut" else SigpyEspirit(crop=0))(self.case.sample)


class Bart(Program):
    """The BART on the PATH; its maps are those of ``ecalib``."""

    name = "BART"
    options = {  # noqa: RUF012
        CG: "-l2 -r {} -i 100", L1: "-R W:3:0:{} -i 100", TV: "-R T:3:0:{} -i 100 -u 0.01",
    }  # fmt: skip
    """With its own rho of 0.5, TV misses the minimum by 2 dB after 100 steps."""

    def __init__(self, case: Case) -> None:
        super().__init__(case)
        self._path = Path(tempfile.mkdtemp(prefix="measured_"))
        weakref.finalize(self, shutil.rmtree, self._path)

    @staticmethod
    def available() -> bool:
        return shutil.which("bart") is not None

    def version(self) -> str:
        return f"{self._bart('version').strip()} {self._region()}".removesuffix(" 24")

    def image(self, kind: str, maps: str, weight: float) -> Tensor:
        options = self.options[kind].format(f"{weight:.6g}").split()
        self._bart("pics", "-S", *options, "kspace", self._calibrated(maps), "out")
        return torch.from_numpy(np.ascontiguousarray(read_cfl(self._path / "out")))[None]

    def _calibrated(self, maps: str) -> str:
        """Return the name of the maps, which are estimated once."""
        sample = self.case.sample
        if not (self._path / "kspace.cfl").exists():
            write_cfl(self._path / "kspace", sample.kspace[0].numpy())
        if not (self._path / f"{maps}.cfl").exists():
            crop = ("-c", "0") if maps == "whole" else ()
            self._bart("ecalib", "-m1", "-r", self._region(), *crop, "kspace", maps)
        return maps

    def _region(self) -> str:
        """Return the size of the calibration data, as ours takes it."""
        assert self.case.sample.acs is not None
        h, w = (min(24, size) for size in self.case.sample.acs[0].tolist())
        return f"{h}" if h == w else f"{h}:{w}:1"

    def _bart(self, *words: str) -> str:
        threads = {"OMP_NUM_THREADS": str(torch.get_num_threads())}
        done = subprocess.run(
            ["bart", *words], cwd=self._path, env=os.environ | threads, capture_output=True,
            text=True,
        )  # fmt: skip
        if done.returncode:
            raise MriReconError(f"bart {' '.join(words)}: {done.stderr.strip()}")
        return done.stdout


def programs(case: Case) -> list[Program]:
    """Return what is installed."""
    return [Ours(case), Sigpy(case), *([Bart(case)] if Bart.available() else [])]


def zero_filled(case: Case) -> Tensor:
    """Return the root-sum-of-squares of what was measured."""
    with torch.inference_mode():
        return ZeroFilled()(case.sample)


@dataclass(frozen=True)
class Made:
    """An image of another method, in the units of ``case.sample``, and the time that it took."""

    image: Tensor
    seconds: float
    warnings: tuple[str, ...]


class Also:
    """A method as ``mrirecon reconstruct`` builds it.

    Args:
        text: Overrides of that command, separated as in a shell; ``checkpoint=`` and ``device=``,
            too. A name for the tables may come first: ``NAME: model=pnp``.
    """

    def __init__(self, text: str) -> None:
        label, colon, words = text.partition(": ")
        if not colon or "=" in label:
            label, words = text, text
        self.name = label
        folder, hydra = conf_folder(), HydraConfig.instance()
        groups = {path.name for path in folder.iterdir() if path.is_dir()}
        typed = [adapt(word, groups) for word in (*shlex.split(words), "input=case", "output=case")]
        before = hydra.cfg
        try:
            with told(), initialize_config_dir(str(folder), version_base="1.3"):
                composed = compose("reconstruct", typed, return_hydra_config=True)
                hydra.set_config(composed)  # which tells what the user has chosen
                names = [str(key) for key in composed if key != "hydra"]
                plain = OmegaConf.to_container(OmegaConf.masked_copy(composed, names))
                config = OmegaConf.create(completed(plain))
            self.method = self._built(config)
        finally:
            hydra.cfg = before

    @staticmethod
    def _built(config: DictConfig) -> Method:
        for group in GROUPS:  # one that was set to null is simply None
            config.setdefault(group, None)
        chosen = settings(config, Settings, GROUPS)
        files, device = chosen.wanted.checkpoints, find_device(chosen.device)
        return build_methods(config, files, device, chosen.trust)

    def make(self, case: Case) -> Made:
        """Reconstruct one case, from its k-space as it was measured."""
        started = time.perf_counter()
        made = run(SampleScan(case.undersampled), self.method, Request())
        seconds = time.perf_counter() - started
        image = torch.as_tensor(made.results[0].volume)
        assert case.sample.scale is not None
        return Made(image.reshape(1, *image.shape[-2:]) / case.sample.scale, seconds, made.warnings)
