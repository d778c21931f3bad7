"""Outputs of a reconstruction and their places; refused before anything is computed."""

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path

from mrirecon.data.raw_files import files_of_scan
from mrirecon.errors import ConfigError
from mrirecon.files import Existing, Kind, Untouchable, refuse_existing
from mrirecon.readers.naming import scan_name
from mrirecon.reconstruction import Quantity, Reconstruction
from mrirecon.writers import WRITERS, Writer

SKIP_ADVICE = "; existing=skip keeps what is there and completes the rest"


class Outputs:
    """The files that a run writes, from the names of its inputs.

    Args:
        folder: Folder of the outputs.
        formats: Keys of :data:`~mrirecon.writers.WRITERS`.
        inputs: The raw files, none of which may be replaced.
        existing: What happens to older outputs.
        dicom_template: A DICOM file whose patient and study tags are copied.
        source: The folder of the inputs: outputs of those below it go to equal folders. Without it
            all outputs go to ``folder`` itself.
        also_read: Other files that the run reads: a noise scan, weights.
        phase: Whether images are written with their phase, some under other names.
        quantities: What is written beside each image to tell how uncertain it is.

    Raises:
        ConfigError: When inputs would write the same outputs.
        OutputError: When an output would replace an input, or the template cannot be read.
    """

    def __init__(
        self,
        folder: Path,
        formats: Sequence[str],
        inputs: Sequence[Path],
        existing: Existing = Existing.REFUSE,
        dicom_template: str | None = None,
        source: Path | None = None,
        also_read: Iterable[str | Path | None] = (),
        phase: bool = False,
        quantities: Sequence[Quantity] = (),
    ) -> None:
        self.folder, self.formats, self.existing = folder, tuple(formats), existing
        self.source, self.phase, self.quantities = source, phase, tuple(quantities)
        self._writers: dict[str, Writer] = {name: WRITERS[name].write for name in formats}
        if dicom_template is not None:
            template = Path(dicom_template).expanduser()
            from mrirecon.writers import read_template  # takes its time, and few want DICOM

            read_template(template)
            self._writers["dicom"] = partial(WRITERS["dicom"].write, template=template)
        self._untouchable = Untouchable(read_files(inputs, (dicom_template, *also_read)))
        refuse_equal_stems([stem(file, source) for file in inputs])
        for file in inputs:  # of all formats: whoever asks for less today may ask for more
            for name in WRITERS:
                self._untouchable.refuse(self._files(file, "", name))

    def todo(self, file: Path, series: Iterable[str]) -> dict[str, tuple[str, ...]]:
        """Return the formats that are to be written of each series, by its suffix.

        Raises:
            OutputError: When one of their files exists and may not be replaced.
        """
        return {
            one: tuple(n for n in self.formats if not self._done(file, one, n)) for one in series
        }

    def write(self, name: str, file: Path, result: Reconstruction) -> Path:
        """Write one format of one series of a file; returns the path."""
        path = self.path(name, file, result.suffix)
        # of a set of which something is missing, the rest is ours and is written anew
        self._writers[name](path, result, overwrite=self.existing is not Existing.REFUSE)
        self._untouchable.add(self._files(file, result.suffix, name))
        return path

    def images(self, name: str, file: Path, series: str) -> list[Path]:
        """Return what a user is told that a format writes: everything but sidecars."""
        files = self._files(file, series, name).items()
        return [path for path, kind in files if kind is not Kind.SIDECAR]

    def path(self, name: str, file: Path, series: str) -> Path:
        """Return the path that the writer of a format is given."""
        return next(iter(self._files(file, series, name)))

    def _files(self, file: Path, series: str, name: str) -> dict[Path, Kind]:
        begin = f"{stem(file, self.source)}{series}"
        outputs = WRITERS[name].files(self.phase, self.quantities).items()
        return {self.folder / f"{begin}{suffix}": kind for suffix, kind in outputs}

    def _done(self, file: Path, series: str, name: str) -> bool:
        """Tell whether a format is there and stays; refuse what may not be replaced."""
        files = self._files(file, series, name)
        self._untouchable.refuse(files)
        if self.existing is Existing.SKIP and all(map(os.path.lexists, files)):
            return True
        for path, kind in files.items():
            refuse_existing(path, self.existing is not Existing.REFUSE, kind, SKIP_ADVICE)
        return False


def read_files(inputs: Iterable[Path], others: Iterable[str | Path | None]) -> list[Path]:
    """Return all files that a run reads: of every scan, and others that may be None."""
    named = [Path(path).expanduser() for path in others if path]
    return [part for file in inputs for part in files_of_scan(file)] + named


def stem(file: Path, source: Path | None) -> str:
    """Return the name, with folders below ``source``, that outputs of a raw file begin with."""
    return scan_name(file, source).removesuffix(file.suffix)


def refuse_equal_stems(stems: Sequence[str]) -> None:
    """Raise ConfigError when two inputs would write the same outputs."""
    double = sorted(name for name, count in Counter(stems).items() if count > 1)
    if double:
        raise ConfigError(
            f"several input files are called {', '.join(double)} up to their ending and would "
            "write the same outputs; choose among them with pattern='*.h5', say"
        )


def chosen_existing(existing: str, overwrite: bool) -> Existing:
    """Return what ``existing=`` and ``overwrite=`` say together.

    Raises:
        ValueError: When they contradict each other, or there is no such choice.
    """
    if existing not in set(Existing):
        raise ValueError(f"existing: expected one of {', '.join(Existing)}, got {existing!r}")
    if overwrite and existing == Existing.SKIP:
        raise ValueError("overwrite=true and existing=skip contradict each other; leave one out")
    return Existing.OVERWRITE if overwrite else Existing(existing)
