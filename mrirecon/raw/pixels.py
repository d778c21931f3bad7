"""How many pixels of the wanted image a field of view holds."""

from mrirecon.raw.header import Encoding


def wanted_pixels(encoding: Encoding, axis: int, view: float | None = None) -> int | None:
    """Return how many pixels of the image a field of view holds, by default the encoded one."""
    view = encoding.encoded.field_of_view[axis] if view is None else view
    wanted, wanted_view = encoding.recon.matrix[axis], encoding.recon.field_of_view[axis]
    if view is None or wanted is None or wanted_view is None:
        return None
    return _pixels(view * wanted / wanted_view)


def _pixels(exact: float) -> int:
    """Return how many reconstruction pixels the encoded field of view holds.

    An odd number stands when the fields of view fit exactly; otherwise the nearest even one
    (Gadgetron's rule), which keeps the centre where it is.
    """
    nearest = round(exact)
    return nearest if nearest and abs(exact - nearest) < 0.01 else max(2, 2 * round(exact / 2))
