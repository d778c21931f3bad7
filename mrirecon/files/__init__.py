"""Outputs that appear complete or not at all and replace only outputs; places of files.

An existing path is replaced only when that was asked for *and* it is an output of mrirecon of the
same kind, told by the mark that every writer leaves in its content (:mod:`mrirecon.files.marks`).
"""

from mrirecon.files.marks import (
    REPORT,
    STRESS_REPORT,
    Kind,
    found_kind,
    mark,
    mark_hdf5,
    mark_png,
    stamped,
    tables_mark,
)
from mrirecon.files.partials import remove_leftovers
from mrirecon.files.places import Untouchable, conf_folder, from_here, output_folder, real_path
from mrirecon.files.writing import Existing, atomic, atomic_folder, refuse_existing

__all__ = [
    "REPORT",
    "STRESS_REPORT",
    "Existing",
    "Kind",
    "Untouchable",
    "atomic",
    "atomic_folder",
    "conf_folder",
    "found_kind",
    "from_here",
    "mark",
    "mark_hdf5",
    "mark_png",
    "output_folder",
    "real_path",
    "refuse_existing",
    "remove_leftovers",
    "stamped",
    "tables_mark",
]
