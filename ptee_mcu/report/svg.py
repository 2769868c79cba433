"""Parts of an SVG file as text: shapes with tooltips, and a style sheet for light and dark."""

import re
from collections.abc import Iterable
from xml.sax.saxutils import escape

FONT = 11  # height of text
GLYPH = 0.602 * FONT  # width of a character in fixed-pitch fonts
# Paul Tol's "light" scheme: fit for dark labels, and for readers who see few colours (doi 10.5281/zenodo.3381072).
PALETTE = ("#77aadd", "#ee8866", "#44bb99", "#ffaabb", "#bbcc33", "#99ddff", "#eedd88", "#aaaa00")
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_NEUTRAL = {"code": "#b4b4b4", "arena": "#e3dccb", "stage": "#d3c7e6", "variables": "#cccccc", "stack": "#9fb0b0"}
_STYLE = """\
text{font:FONTpx ui-monospace,"DejaVu Sans Mono",Menlo,Consolas,monospace;fill:#1c2128}
.label{fill:#111;pointer-events:none}
.title{font-size:15px;font-weight:bold}
.head{font-weight:bold}
.quiet{fill:#57606a}
.paper{fill:#fff}
.frame{fill:none;stroke:#8c959f}
.strip{fill:#eaeef2;stroke:#8c959f}
.taken{fill:#57606a}
.lens{fill:#8c959f;fill-opacity:.18}
.grid{stroke:#d0d7de}
.bound{stroke:#cf222e;stroke-dasharray:6 4}
.size{stroke:#1c2128}
.exit{stroke:#57606a;stroke-dasharray:2 3}
.mark{fill:#cf222e}
.b{stroke:#1c2128;stroke-width:.6}
.b:hover{stroke-width:2}
.shared{fill:url(#x)}
"""
_SHARED = (
    '<pattern id="x" width="5" height="5" patternUnits="userSpaceOnUse">'
    '<path d="M0,0 5,5M0,5 5,0" stroke="#1c2128" stroke-opacity=".45" stroke-width=".7"/></pattern>'
)
_DARK = """\
@media (prefers-color-scheme:dark){
text{fill:#e6edf3}
.label{fill:#111}
.quiet{fill:#9ea7b3}
.paper{fill:#0d1117}
.strip{fill:#21262d}
.taken{fill:#9ea7b3}
.grid{stroke:#30363d}
.bound{stroke:#ff7b72}
.size{stroke:#e6edf3}
.exit{stroke:#9ea7b3}
.mark{fill:#ff7b72}
.b{stroke:#0d1117}
}
"""


def colour(segment: int | None, texture: str = "c") -> str:
    """Class of what belongs to an exit segment; `texture`: "c" plain, "h" hatched, "d" dotted."""
    return "input" if segment is None else f"{texture}{segment % len(PALETTE)}"


def text(x: float, y: float, words: str, kind: str = "", *, anchor: str = "start", turned: bool = False) -> str:
    """Words on a base line; `turned`: they end there, going up to the right."""
    place = f'x="{_n(x)}" y="{_n(y)}"' + (f' class="{kind}"' if kind else "")
    if turned:
        return f'<text {place} text-anchor="end" transform="rotate(-60 {_n(x)} {_n(y)})">{plain(words)}</text>'
    anchored = "" if anchor == "start" else f' text-anchor="{anchor}"'
    return f"<text {place}{anchored}>{plain(words)}</text>"


def rectangle(x: float, y: float, width: float, height: float, kind: str, tooltip: str | None = None) -> str:
    """A rectangle, with words that show where the mouse rests on it."""
    shape = f'<rect x="{_n(x)}" y="{_n(y)}" width="{_n(width)}" height="{_n(height)}" class="{kind}"'
    return f"{shape}/>" if tooltip is None else f"{shape}><title>{plain(tooltip)}</title></rect>"


def labelled(
    x: float, y: float, width: float, height: float, kind: str, tooltip: str, label: str, *, covered: float = 0.0
) -> str:
    """A rectangle with as much of its label as has room inside; `covered`: width on its right that others hide."""
    shape = rectangle(x, y, width, height, f"b {kind}", tooltip)
    room = int((width - covered - 6) / GLYPH)
    if height < FONT + 2 or room < min(len(label), 4):
        return shape
    return shape + text(x + 3, y + height / 2 + 0.36 * FONT, shortened(label, room), "label")


def line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    """A straight line."""
    return f'<line x1="{_n(x1)}" y1="{_n(y1)}" x2="{_n(x2)}" y2="{_n(y2)}" class="{kind}"/>'


def polygon(corners: Iterable[tuple[float, float]], kind: str) -> str:
    """A filled shape."""
    points = " ".join(f"{_n(x)},{_n(y)}" for x, y in corners)
    return f'<polygon points="{points}" class="{kind}"/>'


def group(name: str, parts: Iterable[str]) -> str:
    """Parts that belong together, under a name that is unique in the file."""
    return "\n".join((f'<g id="{name}">', *parts, "</g>"))


def document(width: float, height: float, title: str, parts: Iterable[str], segments: int) -> str:
    """The whole file: nothing outside it is needed, nothing in it runs."""
    used = min(segments, len(PALETTE))
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_n(width)} {_n(height)}" '
        f'width="{_n(width)}" height="{_n(height)}" role="img">'
    )
    body = (f"<title>{plain(title)}</title>", f"<style>\n{_styles(used)}</style>", _patterns(used))
    return "\n".join((head, *body, rectangle(0, 0, width, height, "paper"), *parts, "</svg>")) + "\n"


def plain(words: str) -> str:
    """`words` as XML text; what XML cannot hold becomes a question mark."""
    return escape(_NOT_XML.sub("?", words))


def shortened(words: str, room: int) -> str:
    """`words` in at most `room` characters."""
    return words if len(words) <= room else words[: max(0, room - 1)] + "\u2026"


def _styles(segments: int) -> str:
    rules = [f".{name}{{fill:{fill}}}" for name, fill in _NEUTRAL.items()] + [".input{fill:#dddddd}"]
    for i in range(segments):
        rules += [f".c{i}{{fill:{PALETTE[i]}}}", f".h{i}{{fill:url(#h{i})}}", f".d{i}{{fill:url(#d{i})}}"]
    return _STYLE.replace("FONT", str(FONT)) + "\n".join(rules) + "\n" + _DARK


def _patterns(segments: int) -> str:
    parts = [_SHARED]
    for i in range(segments):
        ground = f'<rect width="6" height="6" fill="{PALETTE[i]}"/>'
        stroke = 'stroke="#fff" stroke-opacity=".6" stroke-width="1.5"'
        size = 'width="6" height="6" patternUnits="userSpaceOnUse"'
        parts.append(f'<pattern id="h{i}" {size}>{ground}<path d="M-1,1 2,-2M0,6 6,0M5,7 8,4" {stroke}/></pattern>')
        parts.append(f'<pattern id="d{i}" {size}>{ground}<circle cx="3" cy="3" r="1.6" fill="#fff"/></pattern>')
    return "\n".join(("<defs>", *parts, "</defs>"))


def _n(value: float) -> str:
    """A coordinate to a thousandth."""
    return f"{value:.3f}".rstrip("0").rstrip(".")
