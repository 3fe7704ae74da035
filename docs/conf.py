"""Configuration of Sphinx: Markdown by MyST, references from the docstrings."""

from importlib.metadata import version as installed_version

project = "HawkFish"
version = release = installed_version("hawkfish")
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
source_suffix = {".md": "markdown"}
myst_heading_anchors = 3
nitpicky = True
autodoc_typehints = "none"  # signatures are long enough; types stand in the text
html_title = project
