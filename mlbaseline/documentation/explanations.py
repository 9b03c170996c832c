"""What the code of a finding means: a section for each in audit.md and gates.md, which the site includes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from types import MappingProxyType

from mlbaseline.documentation.addresses import documentation_url

_PAGES = {"audit.md": "reference/audit", "gates.md": "reference/gates"}
_SECTION = re.compile(r"^### (\S+)\n+(.*?)(?=^##|\Z)", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a check is made, and what to do where it fails.

    Attributes:
        code: Code of an audit check or of a gate.
        text: Paragraphs of Markdown.
        page: Page of the documentation that has it, without its ending.
    """

    code: str
    text: str
    page: str

    @property
    def url(self) -> str:
        """Address of the section in the documentation."""
        return documentation_url(self.page, self.code.lower().replace("_", "-"))


@cache
def explanations() -> Mapping[str, Explanation]:
    """Read the explanation of every code, in the order of the documentation.

    Example:
        >>> explanations()["min_examples"].text
        'A contrast of the candidate stands on fewer examples than `gates.min_examples`. Make the test larger.'
    """
    found = {}
    for name, page in _PAGES.items():
        source = resources.files(__package__).joinpath(name).read_text(encoding="utf-8")
        for code, text in _SECTION.findall(source):
            found[code] = Explanation(code, text.strip(), page)
    return MappingProxyType(found)


def finding_url(code: str) -> str:
    """Return the address of the section that explains the code of a finding.

    Args:
        code: Code of an audit check or of a gate. It may come from a stored file: one that is not known gets the
            address of the list of all checks, and nothing of it gets into the address.

    Example:
        >>> finding_url("MLB302")
        'https://mlbaseline.readthedocs.io/en/latest/reference/audit.html#mlb302'
        >>> finding_url("min_seeds")
        'https://mlbaseline.readthedocs.io/en/latest/reference/gates.html#min-seeds'
    """
    known = explanations().get(code)
    return documentation_url("reference/audit") if known is None else known.url
