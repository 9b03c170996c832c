"""The documentation says what is true: suites are valid, commands exist, links lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest
import yaml

from mlbaseline import __version__
from mlbaseline.cli import cli
from mlbaseline.documentation import DOCUMENTATION_URL, documentation_url
from mlbaseline.suite.reading import parse_suite
from tests.support.checkout import ROOT

PAGES = sorted([*(ROOT / "docs").rglob("*.md"), *ROOT.glob("*.md")])
SHOWN = sorted((ROOT / "docs").rglob("*.y*ml"))
"""Files that pages show whole."""


def blocks(path: Path, *languages: str) -> list[str]:
    """Fenced blocks of a page in these languages; of a file that a page shows, all of it."""
    if path in SHOWN:
        return [path.read_text(encoding="utf-8")] if "yaml" in languages else []
    found = re.findall(r"^```(\w+)\n(.*?)^```", path.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    return [text for language, text in found if language in languages]


SUITES = [
    pytest.param(text, id=f"{path.relative_to(ROOT)}-{position}")
    for path in (*PAGES, *SHOWN)
    for position, text in enumerate(blocks(path, "yaml"))
    if re.search(r"^name:", text, re.MULTILINE) and re.search(r"^matrix:", text, re.MULTILINE) and "{…}" not in text
]


@pytest.mark.parametrize("text", SUITES)
def test_suites_on_pages_are_valid(text: str) -> None:
    assert parse_suite(text).baselines


def test_there_are_suites_on_pages() -> None:
    assert len(SUITES) >= 4


@pytest.mark.parametrize("path", [*PAGES, *SHOWN], ids=lambda path: str(path.relative_to(ROOT)))
def test_other_yaml_on_pages_can_be_read(path: Path) -> None:
    for text in blocks(path, "yaml"):
        yaml.safe_load(text)


@pytest.mark.parametrize("path", [*PAGES, *SHOWN], ids=lambda path: str(path.relative_to(ROOT)))
def test_commands_on_pages_exist(path: Path) -> None:
    for text in blocks(path, "console", "yaml", "bash"):
        for line in re.findall(r"(?:^|run: |- )mlbaseline (.+)$", text, re.MULTILINE):
            name, *words = line.partition("#")[0].split()
            assert name in cli.commands, f"{path.name}: mlbaseline {name}"
            command = cli.commands[name]
            if isinstance(command, click.Group):
                command = command.commands[words.pop(0)]
            options = [parameter for parameter in command.params if isinstance(parameter, click.Option)]
            known = {alias for option in options for alias in option.opts}
            assert {word for word in words if re.match(r"--?[a-z]", word)} <= known, f"{path.name}: {line}"


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_to_files_lead_somewhere(path: Path) -> None:
    text = re.sub(r"^```.*?^```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    for target in re.findall(r"\]\(([^)#\s]+)", text):
        if "://" not in target:
            assert (path.parent / target).exists(), f"{path.name}: {target}"


def test_messages_link_to_pages_that_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    sources = [path.read_text(encoding="utf-8") for path in (ROOT / "mlbaseline").rglob("*.py")]
    pages = {page for text in sources for page in re.findall(r"documentation_url\(\s*[\"']([\w/-]+)[\"']", text)}
    assert "reference/audit" in pages
    assert not [page for page in pages if not (ROOT / "docs" / f"{page}.md").is_file()]
    monkeypatch.setenv("MLBASELINE_DOCS_URL", "https://docs.example/")
    assert documentation_url("faq") == "https://docs.example/faq.html"
    assert DOCUMENTATION_URL.startswith("https://")


def test_the_citation_is_of_this_version() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == __version__
    assert citation["license"] == "Apache-2.0"


@pytest.mark.parametrize(("page", "at_least"), [("CONTRIBUTING.md", 10), ("SECURITY.md", 2)])
def test_files_that_a_page_names_exist(page: str, at_least: int) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    named = set(re.findall(r"`((?:mlbaseline|tests|docs)/[\w/.-]+)`", text))
    assert len(named) >= at_least
    # Capital letters stand for a name of the reader's choice.
    assert not [name for name in named if not re.search(r"NAME|NNN|/x\.|test_x", name) and not (ROOT / name).exists()]


def test_environment_variables_are_documented() -> None:
    sources = [path.read_text(encoding="utf-8") for path in (ROOT / "mlbaseline").rglob("*.py")]
    read = {name for text in sources for name in re.findall(r"[\"'](MLBASELINE_[A-Z0-9_]+)[\"']", text)}
    page = (ROOT / "docs" / "reference" / "commands.md").read_text(encoding="utf-8")
    assert read
    assert not [name for name in read if f"`{name}`" not in page]


def test_make_targets_on_pages_exist() -> None:
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    pages = [*PAGES, ROOT / ".github" / "PULL_REQUEST_TEMPLATE.md"]
    named = {
        name for path in pages for name in re.findall(r"(?:`|^)make ([a-z-]+)", path.read_text(encoding="utf-8"), re.M)
    }
    assert {"demo", "test", "docs"} <= named
    assert named <= targets
