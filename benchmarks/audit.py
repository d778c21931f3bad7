"""How often `mrirecon audit` finds what was done to k-space, and how often it is wrong.

    python benchmarks/audit.py                 (some five minutes on one core)
    python benchmarks/audit.py --clean 50 --each 5

Simulated people, every one of its own, with SNR 5 to 200, 1 to 32 coils and matrices of 96 to 256:
clean ones, also with partial Fourier and undersampling, and ones that were processed, each in
another strength. Seeds are fixed. The table goes to ``benchmarks/results/audit.json``.
"""

import argparse
import itertools
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from audit_cases import CRIMES, clean, sampled
from audit_copies import COPIES
from torch import Tensor

from mrirecon.audit.duplicates import BEYOND_SYMMETRY, COPY
from mrirecon.audit.finding import Level
from mrirecon.audit.likeness import compare, sketch, symmetry
from mrirecon.audit.planes import Plane
from mrirecon.audit.run import checked
from mrirecon.fourier import ifft
from mrirecon.image import root_sum_of_squares

ALSO = {
    "zero padding": {"interpolated k-space"},
    "interpolated k-space": {"zero padding", "windowed k-space"},
    "windowed k-space": {"interpolated k-space", "zero padding", "empty corners"},
    "empty corners": {"windowed k-space", "zero padding"},
}
"""Names under which the same thing is told, too."""


def problems(kspace: Tensor, mask: Tensor | None = None) -> set[str]:
    """Kinds of the problems that are found in one plane of a file without header."""
    h, w = kspace.shape[-2:]
    found = (kspace != 0).any(0)
    measured = found.any(0) & found.any(1)[:, None]
    told = torch.ones(h, w, dtype=torch.bool) if mask is None else mask.expand(h, w)
    plane = Plane(kspace / kspace.abs().max(), measured & told, told)
    return {seen.kind.name for seen in checked(plane) if seen.level is not Level.NOTE}


def clean_ones(count: int) -> Iterator[tuple[str, set[str]]]:
    """What is found in clean scans, by how they were sampled."""
    for number in range(count):
        kspace, rng = clean(number)
        how, measured, mask = sampled(kspace, rng)
        yield how, problems(measured, mask)


def copies(count: int) -> Iterator[tuple[str, bool]]:
    """Whether copies are found, by what was done to them."""
    for name, change in COPIES.items():
        for number in range(count):
            kspace, rng = clean(5000 + number)
            image = root_sum_of_squares(ifft(kspace))
            one, other = sketch(image), sketch(change(image, rng))
            alike = one is not None and other is not None
            if alike:
                alone = BEYOND_SYMMETRY * max(symmetry(one), symmetry(other))
                alike = compare(one, other).score >= max(COPY, min(alone, 0.93))
            yield name, alike


def strangers(count: int) -> int:
    """How many pairs of different people are taken for one image."""
    images = [root_sum_of_squares(ifft(clean(7000 + number)[0])) for number in range(count)]
    found = [one for image in images if (one := sketch(image)) is not None]
    pairs = itertools.combinations(found, 2)
    return sum(compare(one, other).score >= COPY for one, other in pairs)


def main() -> None:
    """Print the tables and keep them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clean", type=int, default=200)
    parser.add_argument("--each", type=int, default=20)
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows: dict[str, dict[str, object]] = {}
    alarms: dict[str, list[set[str]]] = {}
    for how, found in clean_ones(options.clean):
        alarms.setdefault(how, []).append(found)
    for how, sets in alarms.items():
        wrong = sorted(set().union(*sets))
        rows[f"clean: {how}"] = {"scans": len(sets), "found": sum(map(bool, sets)), "as": wrong}
        print(f"clean: {how:<34}{sum(map(bool, sets)):>4} of {len(sets)} {', '.join(wrong)}")
    for name, crime in CRIMES.items():
        wanted = {name} | ALSO.get(name, set())
        found = []
        for number in range(options.each):
            kspace, rng = clean(1000 + number)
            found.append(problems(crime(kspace, rng)))
        hits, others = sum(bool(one & wanted) for one in found), set().union(*found) - wanted
        rows[name] = {"scans": len(found), "found": hits, "also": sorted(others)}
        print(f"{name:<41}{hits:>4} of {len(found)} {', '.join(sorted(others))}", flush=True)
    seen: dict[str, list[bool]] = {}
    for name, hit in copies(options.each):
        seen.setdefault(name, []).append(hit)
    for name, hits_of in seen.items():
        rows[f"copy: {name}"] = {"scans": len(hits_of), "found": sum(hits_of)}
        print(f"copy: {name:<35}{sum(hits_of):>4} of {len(hits_of)}")
    wrong_pairs = strangers(2 * options.each)
    pairs = options.each * (2 * options.each - 1)
    rows["different people"] = {"scans": pairs, "found": wrong_pairs}
    print(f"{'different people, pairs':<41}{wrong_pairs:>4} of {pairs}")
    path = Path(__file__).parent / "results" / "audit.json"
    path.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    np.seterr(all="raise", under="ignore")
    main()
