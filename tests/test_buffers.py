import numpy as np
import torch

from mrirecon import memory_pool
from mrirecon.buffers import divided, empty_like, masked, stacked
from mrirecon.memory_pool import empty

SHAPE = (4, 300, 301)  # not small


def address(x):
    return x.ctypes.data if isinstance(x, np.ndarray) else x.data_ptr()


def test_a_buffer_returns_when_its_last_view_is_gone():
    array = empty(SHAPE, np.complex64)
    first = address(array)
    tensor = torch.from_numpy(array)
    views = [tensor[1:], torch.view_as_real(tensor), tensor.numpy()[..., 3], array.real]
    del array, tensor
    while views:
        assert address(empty(SHAPE, np.complex64)) != first
        views.pop()
    again = empty(SHAPE, np.complex64)
    assert address(again) == first
    assert address(empty(SHAPE, np.complex64)) != first


def test_no_more_memory_is_kept_than_told(monkeypatch):
    monkeypatch.setattr(memory_pool, "KEPT", 3 * 2**20)
    pool = memory_pool._Pool()
    given = [np.empty(2**20, np.uint8) for _ in range(5)]
    for buffer in given:
        pool.give(buffer)
    assert sum(item.size for item in pool._free.values()) == 3 * 2**20
    assert pool.take(2**20) is given[-1]
    assert pool.take(2**20 + 1).size == 2**20 + 1


def test_masking_and_division_are_those_of_torch():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, *SHAPE, dtype=torch.complex64, generator=generator)
    mask = torch.rand(2, 1, SHAPE[-1], generator=generator) < 0.4
    assert masked(x, mask).equal(x * mask[:, None])
    turned = x.transpose(-1, -2)  # no contiguous memory
    assert masked(turned, mask.mT).equal(turned * mask.mT[:, None])
    divisor = torch.rand(2, 1, 1, 1, generator=generator) + 0.5
    torch.testing.assert_close(divided(x, divisor), x / divisor)
    torch.testing.assert_close(divided(x.conj(), divisor), x.conj() / divisor)
    assert divided(x.real, divisor).equal(x.real / divisor)
    assert empty_like(turned).is_contiguous() and empty_like(mask).dtype == torch.bool


def test_gradients_pass():
    x = torch.ones(1, 2, 3, 3, dtype=torch.complex64, requires_grad=True)
    mask = torch.eye(3, dtype=torch.bool)[None]
    divided(masked(x, mask), torch.full((1, 1, 1, 1), 2.0)).abs().sum().backward()
    torch.testing.assert_close(x.grad.real[0, 0], torch.eye(3) / 2)


def test_one_is_stacked_without_a_copy():
    x = torch.ones(3)
    assert stacked([x]).data_ptr() == x.data_ptr()
    assert stacked([x, 2 * x]).equal(torch.tensor([[1.0] * 3, [2.0] * 3]))
