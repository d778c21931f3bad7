"""What a reconstruction will write and where; refused before anything is computed."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path

from mrirecon.errors import ConfigError, OutputError
from mrirecon.files import refuse_existing
from mrirecon.readers.naming import scan_name
from mrirecon.reconstruction import series_of
from mrirecon.scan import ScanHeader
from mrirecon.writers import WRITERS, Writer, read_template


class Outputs:
    """The files that a run writes, from the names of its inputs.

    Args:
        folder: Where they go.
        formats: Keys of :data:`~mrirecon.writers.WRITERS`.
        inputs: The raw files, none of which may be replaced.
        overwrite: Whether older outputs may be.
        dicom_template: A DICOM file whose patient and study tags are copied.
        source: The folder of the inputs: outputs of those below it go to equal folders. Without it
            all outputs go to ``folder`` itself.

    Raises:
        ConfigError: When inputs would write the same outputs.
        OutputError: When an output would replace an input, or the template cannot be read.
    """

    def __init__(
        self,
        folder: Path,
        formats: Sequence[str],
        inputs: Sequence[Path],
        overwrite: bool = False,
        dicom_template: str | None = None,
        source: Path | None = None,
    ) -> None:
        self.folder, self.formats, self.overwrite = folder, tuple(formats), overwrite
        self.source = source
        resolved = [file.resolve() for file in inputs]  # with folders: DICOM replaces whole ones
        self._inputs = {path for file in resolved for path in (file, *file.parents)}
        self._writers: dict[str, Writer] = {name: WRITERS[name].write for name in formats}
        if dicom_template is not None:
            template = Path(dicom_template).expanduser()
            read_template(template)
            self._writers["dicom"] = partial(WRITERS["dicom"].write, template=template)
        refuse_equal_stems([stem(file, source) for file in inputs])
        for file in inputs:  # of all formats: whoever asks for less today may ask for more
            for suffix in _suffixes(WRITERS):
                self._refuse_input(file, folder / f"{stem(file, source)}{suffix}")

    def refuse(self, file: Path, header: ScanHeader) -> None:
        """Raise OutputError when an output of a file exists and may not be overwritten."""
        for series in series_of(header):
            for suffix in _suffixes(self.formats):
                path = self.folder / f"{stem(file, self.source)}{series}{suffix}"
                refuse_existing(path, self.overwrite)

    def writers(self, file: Path, series: str) -> dict[str, tuple[Path, Writer]]:
        """Return the path and the writer of each format, for one series of a file."""
        begin = f"{stem(file, self.source)}{series}"
        return {
            name: (self.folder / f"{begin}{WRITERS[name].suffixes[0]}", write)
            for name, write in self._writers.items()
        }

    def _refuse_input(self, file: Path, path: Path) -> None:
        """Raw files are never written, whatever ``overwrite`` says."""
        if path.resolve() in self._inputs:
            raise OutputError(
                f"output={self.folder} would replace the raw file {path}, with an output of "
                f"{file.name}; choose another folder"
            )


def stem(file: Path, source: Path | None) -> str:
    """Return the name, with folders below ``source``, that outputs of a raw file begin with."""
    return scan_name(file, source).removesuffix(file.suffix)


def _suffixes(formats: Iterable[str]) -> Iterator[str]:
    for name in formats:
        yield from WRITERS[name].suffixes


def refuse_equal_stems(stems: Sequence[str]) -> None:
    """Raise ConfigError when two inputs would write the same outputs."""
    double = sorted(name for name, count in Counter(stems).items() if count > 1)
    if double:
        raise ConfigError(
            f"several input files are called {', '.join(double)} up to their ending and would "
            "write the same outputs; choose among them with pattern='*.h5', say"
        )
