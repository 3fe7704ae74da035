"""Configuration of Sphinx: Markdown by MyST, references made from the code."""

import sys
from importlib.metadata import version as installed_version
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

import _reference  # noqa: E402  it stands beside this file

project = "HawkFish"
version = release = installed_version("hawkfish")
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build", "_reference"]
myst_heading_anchors = 3
myst_enable_extensions = ["colon_fence", "deflist"]
nitpicky = True
autodoc_typehints = "none"  # signatures are long enough; types stand in the text
html_theme = "furo"
html_title = project
html_static_path = ["_static"]
html_css_files = ["hawkfish.css"]
html_show_copyright = False
copybutton_prompt_text = r"\$ "
copybutton_prompt_is_regexp = True
copybutton_line_continuation_character = "\\"
copybutton_here_doc_delimiter = "EOF"

_reference.write(HERE / "reference" / "generated")
