"""Fewer coils than nominally."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import numpy as np
import torch
from jaxtyping import Complex64
from torch import Tensor

from mrirecon.robustness.case import Case, FullSlice
from mrirecon.robustness.shift import Level, Shift, number


@dataclass(frozen=True)
class FewerCoils(Shift):
    """Leaves out coils at random, or compresses them to fewer virtual ones.

    Attributes:
        levels: Shares of the coils that are missing.
        by: ``subset``, coils are left out, each one at a higher level, too; or ``compression``, the
            virtual coils of largest energy over all slices are kept.
    """

    levels: Sequence[Level] = (0.25, 0.5, 0.75)
    by: Literal["subset", "compression"] = "subset"
    title: ClassVar[str] = "fewer coils"
    axis: ClassVar[str] = "share of the coils that is missing"
    about: ClassVar[str] = (
        "Coils are left out, or compressed to fewer virtual ones; the reference is that of the "
        "coils that are left."
    )

    def unsuited(self, case: Case) -> str:
        return "" if case.header.coils > 1 else "the scan has a single coil"

    def _shifted(self, case: Case, level: Level, rng: np.random.Generator) -> Case:
        share = number(level, self.title, 0.0, 1.0)
        count = max(1, round(case.header.coils * (1 - share)))
        if self.by == "subset":
            kept = sorted(rng.permutation(case.header.coils)[:count].tolist())
            matrix = torch.eye(case.header.coils, dtype=torch.complex64)[kept]
        else:
            matrix = _compression(case, count)

        def fewer(one: FullSlice) -> FullSlice:
            return one.mapped(lambda kspace: torch.einsum("vc,chw->vhw", matrix, kspace), maps=None)

        fitting = replace(case, header=replace(case.header, coils=count))
        return fitting.mapped(fewer)


def _compression(case: Case, count: int) -> Complex64[Tensor, "virtual coil"]:
    """Return the orthonormal rows that keep most energy of all slices."""
    data = torch.cat([one.sample.kspace.flatten(1) for one in case.slices], 1)
    _, vectors = torch.linalg.eigh((data @ data.mH).to(torch.complex128))  # smallest first
    return vectors.flip(-1)[:, :count].mH.to(torch.complex64)
