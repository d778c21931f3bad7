import numpy as np
import pytest

from mrirecon.errors import ConfigError
from mrirecon.simulation.contrast import (
    CONTRASTS,
    BalancedSteadyState,
    GradientEcho,
    InversionRecovery,
    SpinEcho,
)
from mrirecon.simulation.tissues import INDEX, TORSO, tissue_table

TISSUES = tissue_table(3.0)
WHITE, GREY, CSF, FAT = (INDEX[name] for name in ("white", "grey", "csf", "fat"))


def test_spin_echo_with_long_repetition_and_short_echo_shows_the_density():
    signal = SpinEcho(1e7, 0.0).signal(TISSUES)
    np.testing.assert_allclose(signal, TISSUES.density, rtol=1e-12)


def test_spin_echo_decays_with_t2():
    early, late = (SpinEcho(1e7, te).signal(TISSUES) for te in (10.0, 60.0))
    np.testing.assert_allclose(late / early, np.exp(-50.0 / TISSUES.t2), rtol=1e-9)


def test_spin_echo_recovers_with_t1():
    signal = SpinEcho(500.0, 0.0).signal(TISSUES)
    np.testing.assert_allclose(signal, TISSUES.density * (1 - np.exp(-500 / TISSUES.t1)))


@pytest.mark.parametrize("tissue", [CSF, FAT])
def test_inversion_recovery_nulls_the_chosen_t1(tissue):
    sequence = InversionRecovery.nulling(float(TISSUES.t1[tissue]), 9000.0, 110.0)
    signal = sequence.signal(TISSUES)
    assert abs(signal[tissue]) < 1e-12
    assert np.abs(np.delete(signal, [tissue, INDEX["bone"]])).min() > 1e-3


def test_inversion_at_time_zero_inverts_and_late_inversion_is_a_spin_echo():
    inverted = InversionRecovery(1e7, 0.0, 0.0).signal(TISSUES)
    np.testing.assert_allclose(inverted, -TISSUES.density)
    late = InversionRecovery(1e7, 30.0, 5e6).signal(TISSUES)
    np.testing.assert_allclose(late, SpinEcho(1e7, 30.0).signal(TISSUES))


def test_gradient_echo_is_largest_at_the_ernst_angle_and_90_degrees_saturates():
    ernst = np.rad2deg(np.arccos(np.exp(-50.0 / TISSUES.t1[WHITE])))
    angles = ernst + np.array([-2.0, 0.0, 2.0])
    below, best, above = (
        GradientEcho(50.0, 5.0, float(angle)).signal(TISSUES)[WHITE] for angle in angles
    )
    assert best > below
    assert best > above
    signal = GradientEcho(300.0, 0.0, 90.0).signal(TISSUES)
    np.testing.assert_allclose(signal, TISSUES.density * (1 - np.exp(-300 / TISSUES.t1)))


def test_balanced_steady_state_depends_on_the_ratio_of_relaxation_times_only():
    tissues = tissue_table(3.0, TORSO)
    signal = BalancedSteadyState(1e-3, 60.0).signal(tissues)
    ratio = tissues.t1 / tissues.t2  # the limit of short repetitions
    expected = tissues.density * np.sin(np.pi / 3) / (ratio + 1 - 0.5 * (ratio - 1))
    np.testing.assert_allclose(signal, expected, rtol=1e-3)
    blood, heart = TORSO.index("blood"), TORSO.index("myocardium")
    cine = CONTRASTS["bssfp"].signal(tissues)
    assert cine[blood] > 2 * cine[heart]
    assert CONTRASTS["bssfp"].sequence(3.0).echo_time == 1.6


def test_presets_order_tissues_as_radiologists_know_them():
    signal = {label: np.abs(c.signal(TISSUES)) for label, c in CONTRASTS.items()}
    t1, t2, flair = signal["t1"], signal["t2"], signal["flair"]
    assert t1[FAT] > t1[WHITE] > t1[GREY] > t1[CSF]
    assert t2[CSF] > t2[GREY] > t2[WHITE]
    assert flair[INDEX["lesion"]] > flair[GREY] > flair[WHITE] > 10 * flair[CSF]
    assert signal["gre"][CSF] > signal["gre"][INDEX["pallidum"]]
    assert signal["spgr"][WHITE] > signal["spgr"][GREY]


def test_header_tells_the_timing_and_unknown_field_strengths_are_refused():
    sequence = CONTRASTS["flair"].sequence(1.5)
    assert (sequence.repetition_time, sequence.echo_time) == (9000.0, 110.0)
    assert sequence.field_strength == 1.5
    with pytest.raises(ConfigError, match="7"):
        tissue_table(7.0)
