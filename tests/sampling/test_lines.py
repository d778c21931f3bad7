import hashlib
import re

import numpy as np
import pytest

from mrirecon.errors import ConfigError
from mrirecon.sampling import (
    EquispacedFractionLines,
    EquispacedLines,
    MagicFractionLines,
    MagicLines,
    PoissonDisc,
    RandomLines,
    scan_rng,
)

PATTERNS = {
    "random": RandomLines,
    "equispaced": EquispacedLines,
    "equispaced_fraction": EquispacedFractionLines,
    "magic": MagicLines,
    "magic_fraction": MagicFractionLines,
}

# Made with fastmri 0.3.0 for file1000000.h5: central lines / lines / first 10 hex digits of the
# SHA-1 of the kept columns as little-endian int32, at 4x with 8 % and at 8x with 4 %.
GOLDEN = """\
320 random               26  76 afbd4ed46a  13 39 59e9f4345a
320 equispaced           26 100 c8bc54b7e6  13 52 8773adab8a
320 equispaced_fraction  26  80 67ba597484  13 40 b37e2ae8f7
320 magic                26  99 d58ccb12fe  13 51 846b92c02c
320 magic_fraction       26  75 9e22b1b9fb  13 39 971dad0199
368 random               29  88 04c3e35811  15 46 f869cb0553
368 equispaced           29 114 b1d775abb9  15 59 ec7f51e213
368 equispaced_fraction  29  93 8c70eed84d  15 45 06edc48bd3
368 magic                29 114 336e5323bf  15 59 2d28aa7ff5
368 magic_fraction       29  86 d40e742084  15 45 824569dc25
372 random               30  89 a8e730c63f  15 46 0256fc220a
372 equispaced_fraction  30  94 2d9d652efd  15 45 3bcce6cda8
396 random               32  91 69f2481fdc  16 48 e6929e716d
396 equispaced_fraction  32  99 9a7bd3e3b0  16 49 dbede1ed02
""".splitlines()


@pytest.mark.parametrize("line", GOLDEN, ids=lambda line: " ".join(line.split()[:2]))
def test_bit_exact_with_fastmri(line):
    w, name, *numbers = line.split()
    for acceleration, fraction, (acs, lines, digest) in (
        (4, 0.08, numbers[:3]),
        (8, 0.04, numbers[3:]),
    ):
        drawn = PATTERNS[name](acceleration, fraction)((640, int(w)), scan_rng("file1000000.h5"))
        columns = np.flatnonzero(drawn.mask[0].numpy()).astype("<i4")
        assert hashlib.sha1(columns.tobytes()).hexdigest()[:10] == digest
        assert drawn.acs == (640, int(acs)) and len(columns) == int(lines)
        assert drawn.nominal == acceleration
        assert drawn.achieved == pytest.approx(int(w) / int(lines))


@pytest.mark.parametrize("pattern", [MagicFractionLines(4, 0.37), EquispacedFractionLines(4, 0.25)])
def test_a_centre_beyond_the_budget_keeps_the_centre_only(pattern):
    drawn = pattern((64, 320), scan_rng("a.h5"))  # fastMRI raises on both
    assert drawn.mask.sum() == drawn.acs[1] == 80
    assert "keeps the 80 central lines of 320 and none outside, R = 4.00" in drawn.remark


@pytest.mark.parametrize(
    ("pattern", "remark"),
    [
        (EquispacedFractionLines(4, acs=60), "keeps the 60 central lines of 128 and none outside"),
        (RandomLines(4, acs=60), "keeps the 60 central lines of 128 and none outside"),
        (MagicFractionLines(4, acs=127), "keeps the 32 central lines of 128 and none outside"),
        (MagicFractionLines(128), "keeps the 1 central lines of 128 and none outside, R = 128"),
        (EquispacedLines(4, acs=120), "acceleration=4 was asked for, .* more: R = 1.0., with 120"),
        (MagicLines(4, acs=64), "acceleration=4 was asked for, .* more: R = 1.60, with 64 of 128"),
        (EquispacedLines(4), "^$"),
        (EquispacedLines(4, acs=24), "^$"),
        (EquispacedLines(1), "^$"),
        (RandomLines(8), "^$"),
        (PoissonDisc(8), "^$"),
    ],
)
def test_what_may_not_be_wanted_is_told_with_the_numbers(pattern, remark):
    assert re.search(remark, pattern((64, 128), scan_rng("a.h5")).remark)


@pytest.mark.parametrize("pattern", PATTERNS.values())
@pytest.mark.parametrize("w", [1, 2, 17])
def test_tiny_matrices(pattern, w):
    drawn = pattern()((8, w), scan_rng("a.h5"))
    assert drawn.mask.shape == (1, w)


def test_several_accelerations_are_drawn_in_pairs():
    pattern = RandomLines([4, 8], [0.08, 0.04])
    drawn = {
        (d.nominal, d.acs[1])
        for d in (pattern((8, 320), np.random.RandomState(i)) for i in range(20))
    }
    assert drawn == {(4, 26), (8, 13)}


def test_acs_counts_lines_and_mixes_with_any_combination():
    assert EquispacedLines(2, acs=24)((8, 320), scan_rng("a")).acs == (8, 24)
    pattern = RandomLines([4, 8], [0.08], any_combination=True)
    assert {pattern((8, 320), np.random.RandomState(i)).nominal for i in range(20)} == {4, 8}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"acceleration": 0.5}, "at least 1, got 0.5"),
        ({"center_fraction": 24}, "between 0 and 1, got 24; set acs"),
        ({"acceleration": [4, 8]}, "same length"),
        ({"acs": 0}, "positive number of lines"),
        ({"acceleration": float("nan")}, "at least 1, got nan"),
        ({"acceleration": [4, float("inf")], "center_fraction": [0.1, 0.1]}, "at least 1"),
    ],
)
def test_wrong_arguments_are_explained(arguments, message):
    with pytest.raises(ValueError, match=message):
        RandomLines(**arguments)


def test_the_seed_is_the_name():
    pattern = RandomLines()
    a, b, c = (pattern((8, 320), scan_rng(n)).mask for n in ("a.h5", "a.h5", "b.h5"))
    assert a.equal(b) and not a.equal(c)


@pytest.mark.parametrize(
    ("pattern", "arguments", "message"),
    [
        (EquispacedLines, {"acs": 300}, "acs=300 lines cannot be kept of 128"),
        (RandomLines, {"acs": 128}, "acceleration=4 with 128 central lines keeps all 128 lines"),
        (
            EquispacedLines,
            {"acceleration": 1.4},
            "=1.4 with 10 central lines keeps all",
        ),
        (MagicLines, {"acceleration": 1000}, "acceleration=1000 of 128 lines"),
        (RandomLines, {"center_fraction": 0.999}, "128 central lines keeps all 128"),
        (EquispacedFractionLines, {"acceleration": 129}, "less than one line"),
    ],
)
def test_what_is_no_undersampling_is_refused_with_the_numbers(pattern, arguments, message):
    with pytest.raises(ConfigError, match=message):
        pattern(**arguments)((64, 128), scan_rng("a.h5"))
    assert EquispacedLines(1)((64, 128), scan_rng("a.h5")).mask.all()  # as it is asked for
