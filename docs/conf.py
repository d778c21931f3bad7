"""Settings of the documentation site; ``make docs`` builds it into ``build/docs/``."""

import os
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "extensions"))
# Cells of the gallery call `mrirecon`, which lies beside the Python that builds the site.
os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"

from mrirecon import __version__  # noqa: E402

project = "mrirecon"
author = "the mrirecon developers"
copyright = "2026, the mrirecon developers"  # noqa: A001
release = version = __version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "sphinx_design",
    "formulas",
    "gallery_pictures",
    "quiet_cells",
    "reference_pages",
    "warm_commands",
]
exclude_patterns = ["extensions"]

myst_enable_extensions = ["attrs_inline", "colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3

# A page of the gallery runs in an empty folder of its own, from top to bottom, or the build fails.
nb_execution_mode = "cache"
nb_execution_in_temp = True
nb_execution_timeout = 600  # of a cell, on a busy machine
nb_execution_raise_on_error = True
nb_merge_streams = True
suppress_warnings = ["myst-nb.lexer"]  # of pages that are not executed

autodoc_inherit_docstrings = False
napoleon_attr_annotations = False  # an axis "*batch" would begin emphasis

html_theme = "furo"
html_title = "mrirecon"
html_static_path = ["_static"]
html_css_files = ["site.css"]
copybutton_prompt_text = r"\$ |>>> |!"
copybutton_prompt_is_regexp = True
