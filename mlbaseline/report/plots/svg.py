"""matplotlib figure ─▶ one clean SVG: text stays text, colours follow the page or the reader's light or dark setting.

Figures are drawn with the stand-in colours of `INK` and its like; here they become CSS variables, which a style inside
the SVG sets. The same string therefore works inline in the report and as a file of its own.
"""

from __future__ import annotations

import html
import io
import re
from typing import Any

INK, MUTED, LINE, PAPER = "#0a0b01", "#0a0b02", "#0a0b03", "#0a0b04"
BETTER, WORSE, OPEN = "#0a0b05", "#0a0b06", "#0a0b07"
_NAMES = {
    INK: "ink",
    MUTED: "muted",
    LINE: "line",
    PAPER: "paper",
    BETTER: "better",
    WORSE: "worse",
    OPEN: "open",
}
# Blue and vermilion stay apart under every common colour deficiency (after Okabe and Ito); both reach a contrast of
# 4.5 : 1 against their paper.
_LIGHT = {
    "ink": "#1c2024",
    "muted": "#5c646d",
    "line": "#c9ced4",
    "paper": "#ffffff",
    "better": "#0b63ad",
    "worse": "#b64400",
    "open": "#5c646d",
}
_DARK = {
    "ink": "#e4e7ea",
    "muted": "#9aa3ad",
    "line": "#434a52",
    "paper": "#15181b",
    "better": "#74b4f2",
    "worse": "#f79a5e",
    "open": "#9aa3ad",
}
FONTS = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', 'DejaVu Sans', Arial, sans-serif"
_STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "mlbaseline",
    "font.family": "DejaVu Sans",
    "font.size": 11,
    "text.color": INK,
    "axes.edgecolor": LINE,
    "axes.labelcolor": MUTED,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "axes.unicode_minus": True,
}


def style() -> Any:
    """Open the context in which a figure must be made and written, whatever the reader's matplotlib settings are."""
    from matplotlib import style as styles

    return styles.context(["default", _STYLE])


def palette() -> str:
    """Give the CSS of the colours as variables, light by default, dark where the reader asks for it on a screen."""
    light = "".join(f"--mlb-{name}:{colour};" for name, colour in _LIGHT.items())
    dark = "".join(f"--mlb-{name}:{colour};" for name, colour in _DARK.items())
    return f".mlb{{{light}}}@media screen and (prefers-color-scheme:dark){{.mlb{{{dark}}}}}"


def to_svg(figure: Any, *, name: str, title: str, description: str) -> str:
    """Convert a matplotlib Figure to SVG text. name: part of every id, so that several plots can share one page."""
    stream = io.StringIO()
    figure.savefig(stream, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = stream.getvalue()
    text = text[text.index("<svg") :].strip()
    text = re.sub(r"<metadata>.*?</metadata>\s*", "", text, flags=re.DOTALL)
    text = re.sub(r"<!--.*?-->\s*", "", text, flags=re.DOTALL)
    # matplotlib 3.11 writes a style for `*`, which would reach the whole page that the SVG is put into.
    text = re.sub(r"<style[^>]*>.*?</style>", "", text, flags=re.DOTALL)
    text = re.sub(r'(?<= id=")([^"]+)', rf"{name}-\1", text)
    text = re.sub(r'(?<=href="#)([^"]+)|(?<=url\(#)([^)]+)', lambda match: f"{name}-{match[0]}", text)
    text = re.sub(r"font: (\w+ )?([\d.]+px) [^;\"]+", _font, text)
    for colour, variable in _NAMES.items():
        text = text.replace(colour, f"var(--mlb-{variable})")
    opening = f'<svg class="mlb" role="img" aria-labelledby="{name}-title {name}-desc" '
    css = f"{palette()}svg.mlb *{{stroke-linejoin:round;stroke-linecap:butt}}svg.mlb text{{font-family:{FONTS}}}"
    head = f'<title id="{name}-title">{_escape(title)}</title><desc id="{name}-desc">{_escape(description)}</desc>'
    return (
        re.sub(r"<svg ([^>]*)>", lambda match: f"{opening}{match[1]}>{head}<style>{css}</style>", text, count=1) + "\n"
    )


def _font(match: re.Match[str]) -> str:
    weight = f"; font-weight: {match[1].strip()}" if match[1] else ""
    return f"font-size: {match[2]}{weight}"


def _escape(text: str) -> str:
    return html.escape(text, quote=False)
