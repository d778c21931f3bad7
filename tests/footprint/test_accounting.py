"""Bytes that live while something is computed."""

from pathlib import Path

import jaxtyping
import pytest
import torch
from torch import nn

from mrirecon.footprint import accounting as accounting_module
from mrirecon.footprint.accounting import Accounting
from mrirecon.footprint.workspace import workspace, written_out
from tests import runtime_types

KB = 4000  # of a matrix with a thousand numbers


def test_what_nobody_refers_to_does_not_count():
    x = torch.zeros(1000)
    with Accounting([x]) as accounting:
        assert accounting.live == KB
        y = x + 1
        y = y * 2  # the sum lives until the product is there
        assert accounting.live == 2 * KB and accounting.peak == 3 * KB
        view = y[10:].view(2, -1)
        y += 1
        assert accounting.live == 2 * KB
        del y
        assert accounting.live == 2 * KB
        del view
        assert accounting.live == KB and accounting.peak == 3 * KB


def test_what_a_gradient_needs_counts_until_it_is_known():
    w = torch.ones(1000, requires_grad=True)
    with Accounting([w]) as accounting:
        loss = (w.sin() * 2).cos().sum()  # both arguments are kept
        assert accounting.live == 3 * KB - KB + KB + 4 - KB + KB - KB
        loss.backward()
        assert accounting.live == 2 * KB + 4  # weights, gradient and loss
        with torch.no_grad():
            w.sin().cos().sum()
        assert accounting.live == 2 * KB + 4


def test_every_line_has_its_peak(monkeypatch):
    wrapper = str(Path(jaxtyping.__file__).parent), runtime_types.__file__  # of every function
    monkeypatch.setattr(accounting_module, "_NOT_OURS", (*accounting_module._NOT_OURS, *wrapper))
    with Accounting() as accounting:
        x = torch.zeros(1000)
        x = torch.cat([x, x])
        x = x[:10].clone()
    peaks = {place[1] - min(p[1] for p in accounting.peaks): bytes_
             for place, bytes_ in accounting.peaks.items() if place[2] != "slice"}  # fmt: skip
    assert peaks == {0: KB, 1: 3 * KB, 2: 2 * KB + 40}
    assert all(place[0] == __file__ for place in accounting.peaks)


def test_memory_from_elsewhere_counts_when_it_is_used():
    array = torch.zeros(1000).numpy()
    with Accounting() as accounting:
        x = torch.from_numpy(array)
        torch.add(x, 1, out=x)
        assert accounting.live == KB


@pytest.mark.parametrize(
    ("inputs", "outputs", "kernel", "forward", "backward"),
    [
        (16, 32, 3, 32, 48),  # channels are as the library has them
        (2, 16, 3, 16, 32),
        (16, 2, 3, 16 + 16 - 2, 32),
        (18, 18, 3, 2 * 32 - 18, 64),
        (16, 32, 1, 0, 32),
    ],
)
def test_a_convolution_copies_blocks_of_channels(inputs, outputs, kernel, forward, backward):
    x = torch.zeros(2, inputs, 10, 10, requires_grad=True)
    layer = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False)
    plane = 2 * 10 * 10 * 4
    with Accounting([x, *layer.parameters()]) as accounting:
        held = accounting.live
        layer(x).sum().backward()
    made = {name: peak for (_, _, name), peak in accounting.peaks.items()}
    assert made["convolution"] - held == (outputs + forward) * plane
    gradients = inputs * plane + layer.weight.numel() * 4
    loss = 2 * 4  # and its own gradient
    assert 0 <= made["convolution_backward"] - held - gradients - backward * plane <= loss
    with Accounting([x, *layer.parameters()], native=False) as elsewhere, torch.no_grad():
        layer(x)
    assert elsewhere.peak == held + outputs * plane


def test_conjugates_are_written_out_and_transforms_their_result_twice():
    x = torch.zeros(3, 10, 10, dtype=torch.complex64)
    assert written_out("bmm", (x.mH, x), x.clone()) == x.nbytes
    assert written_out("mul", (x, x.conj()), x.clone()) == x.nbytes
    assert written_out("mul", (x, x), x.clone()) == 0
    assert written_out("mm", (x[0].mH, x[0]), x[0].clone()) == 0
    assert written_out("select", (x.conj(), 0, 1), x.conj()[1]) == 0
    assert workspace("_fft_c2c", (x, [1], 0, True), x) == x.nbytes
