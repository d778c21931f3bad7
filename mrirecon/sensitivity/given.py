"""Coil sensitivities that the data set already carries."""

from mrirecon.sensitivity.base import CalibrationError, SensitivityEstimator
from mrirecon.types import Maps, Sample


class GivenMaps(SensitivityEstimator):
    """Use ``sample.maps``, computed beforehand."""

    def forward(self, sample: Sample) -> Maps:
        """Return ``sample.maps``.

        Raises:
            CalibrationError: When the Sample has none.
        """
        if sample.maps is None:
            raise CalibrationError(
                "this method is configured for given coil sensitivities, but the data carries none "
                "(sample.maps is None); compute them beforehand or estimate them from the data, "
                "for instance with sensitivity=espirit"
            )
        return sample.maps
