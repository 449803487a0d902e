"""The bench's tables and charts: plain text, no library."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, LABEL, ROW, TOP = 760, 210, 28, 44


@dataclass(frozen=True)
class Bar:
    """One bar of a chart; `caption` stands beside it."""

    label: str
    length: float
    caption: str
    ours: bool = False


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; all columns but the first are numbers."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def chart(title: str, bars: Sequence[Bar]) -> str:
    """Horizontal bars as SVG, readable on light and dark pages."""
    longest = max((bar.length for bar in bars), default=1.0) or 1.0
    room = WIDTH - LABEL - 90
    height = TOP + ROW * len(bars) + 10
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}"'
        ' font-family="system-ui, sans-serif" font-size="13" role="img">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
        f'<text x="12" y="26" font-size="15" font-weight="600" fill="#1f2328">{escape(title)}</text>',
    ]
    for number, bar in enumerate(bars):
        y = TOP + ROW * number
        width = max(1.0, room * bar.length / longest)
        colour = "#0969da" if bar.ours else "#afb8c1"
        weight = "600" if bar.ours else "400"
        parts += [
            f'<text x="{LABEL - 8}" y="{y + 17}" text-anchor="end" font-weight="{weight}" fill="#1f2328">{escape(bar.label)}</text>',
            f'<rect x="{LABEL}" y="{y + 4}" width="{width:.1f}" height="18" rx="2" fill="{colour}"/>',
            f'<text x="{LABEL + width + 6:.1f}" y="{y + 17}" font-weight="{weight}" fill="#1f2328">{escape(bar.caption)}</text>',
        ]
    return "\n".join([*parts, "</svg>"]) + "\n"
