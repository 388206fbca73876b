"""How Sphinx builds this documentation: ``make docs``, or ``sphinx-build -W docs docs/_build/html``."""

from __future__ import annotations

from typing import Any

from sphinx.application import Sphinx

from aiosmtpd import __version__

project = "aiosmtpd"
author = "The aiosmtpd developers"
project_copyright = author
release = version = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"aiosmtpd {release}"
html_copy_source = False

myst_enable_extensions = ["attrs_inline", "colon_fence", "deflist"]
myst_heading_anchors = 3
# A page that moves or a heading that is renamed breaks the build, not the reader's link.
suppress_warnings: list[str] = []

add_module_names = False
autodoc_default_options = {"show-inheritance": True}
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
autodoc_typehints_format = "short"
napoleon_numpy_docstring = False
napoleon_use_ivar = True
python_maximum_signature_line_length = 88


def _skip_tuple_fields(
    app: Sphinx, what: str, name: str, obj: Any, skip: bool, options: Any
) -> bool | None:
    """Leave out the fields of named tuples: their docstrings say only which index they have."""
    is_field = str(getattr(obj, "__doc__", "")).startswith("Alias for field number")
    return True if is_field else None


def _escape_stars(
    app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]
) -> None:
    """Escape the stars of ``**kwargs``, where napoleon does not."""
    lines[:] = [line.replace(":param **", r":param \*\*") for line in lines]


def _keep_colon(
    app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]
) -> None:
    """Keep napoleon from taking what stands before a colon for the type of an attribute."""
    if what in ("attribute", "data", "property"):
        lines.insert(0, "")


def setup(app: Sphinx) -> None:
    app.connect("autodoc-process-docstring", _keep_colon, priority=400)
    app.connect("autodoc-process-docstring", _escape_stars, priority=600)
    app.connect("autodoc-skip-member", _skip_tuple_fields)
