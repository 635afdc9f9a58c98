"""Sphinx's configuration. `make docs` builds the pages into site/. Neither building nor reading needs a network."""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
os.environ["PYGRAD_FACADE"] = "cffi"  # the classes in Python have signatures; those in C are derived from them

project = "pygrad"
html_title = "pygrad"
extensions = ["sphinx.ext.autodoc", "sphinx.ext.napoleon", "myst_nb", "sphinx_copybutton"]
exclude_patterns = ["_generated"]

myst_heading_anchors = 4
nb_execution_mode = "off"  # the notebooks contain their output, which the tests compare with a run
suppress_warnings = ["mystnb.unknown_mime_type"]

default_role = "literal"  # a name in single backticks is code, as in Markdown
add_module_names = False
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True}
autodoc_typehints = "none"
autodoc_mock_imports = ["dask"]
napoleon_google_docstring = False
napoleon_use_rtype = False
napoleon_custom_sections = [("Attributes", "params_style")]
python_maximum_signature_line_length = 88

html_theme = "furo"
html_static_path = ["style.css", "enlarge.js", "played.js"]
html_css_files = ["style.css"]
html_js_files = ["enlarge.js", "played.js"]
html_copy_source = False
html_show_search_summary = False  # which would be fetched, as a page from disk cannot
html_show_copyright = False
html_show_sphinx = False


def setup(app):
    """Write the page to play beside the others."""
    import played

    app.connect("build-finished", lambda app, _: played.readme().save(Path(app.outdir) / "played.html"))
