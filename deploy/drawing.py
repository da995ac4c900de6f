"""What the plots of these python scripts share: SVG documents that follow the reader's light or dark theme."""

from xml.sax.saxutils import escape

STYLE = """<style>
text { font: 12px system-ui, sans-serif; fill: #24292f }
.grid { stroke: #d0d7de; stroke-width: 1 }
@media (prefers-color-scheme: dark) { text { fill: #c9d1d9 } .grid { stroke: #30363d } }
</style>"""


def text(x, y, words, anchor="start"):
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'


def drawing(width, height, title, description, parts):
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" aria-labelledby="t d">',
            f'<title id="t">{escape(title)}</title>',
            f'<desc id="d">{escape(description)}</desc>',
            STYLE,
            *parts,
            "</svg>\n",
        ]
    )


def legend(entries, y):
    """Squares of a colour with a name, side by side, from pairs of name and colour."""
    parts, x = [], 60
    for name, colour in entries:
        parts.append(f'<rect x="{x}" y="{y - 10}" width="12" height="12" fill="{colour}"/>')
        parts.append(text(x + 17, y, name))
        x += 24 + 7.2 * len(name)
    return parts


def axis(left, right, top, bottom, greatest, unit):
    """Lines at multiples of 1, 2 or 5 times a power of ten, and where a value lies."""
    step = next(s for k in range(-3, 6) for s in (10**k, 2 * 10**k, 5 * 10**k) if greatest / s <= 8)
    parts, value = [], 0.0
    while value <= greatest:
        y = bottom - value / greatest * (bottom - top)
        parts.append(f'<line class="grid" x1="{left}" y1="{y:.1f}" x2="{right}" y2="{y:.1f}"/>')
        parts.append(text(left - 6, y + 4, f"{value:g}", "end"))
        value = round(value + step, 6)
    parts.append(text(left - 6, top - 10, unit, "start"))
    return parts, lambda value: bottom - value / greatest * (bottom - top)


def panel(top, name, unit, minutes, series, scale):
    """One plot of several series of (minute, value), the time before 0 being the warm-up."""
    left, right, bottom = 60, 890, top + 130
    first, last = minutes
    values = [value for _, _, points in series for _, value in points if value is not None]
    parts, y = axis(left, right, top, bottom, 1.05 * max(values + [1e-9]), f"{name}{', ' + unit if unit else ''}")

    def x(minute):
        return left + (right - left) * (minute - first) / max(1e-9, last - first)

    parts.append(f'<rect x="{left}" y="{top}" width="{x(0) - left:.1f}" height="{bottom - top}" fill="#8884" stroke="none"/>')
    for _, colour, points in series:
        drawn = " ".join(f"{x(minute):.1f},{y(value):.1f}" for minute, value in points if value is not None)
        parts.append(f'<polyline points="{drawn}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
    if scale:
        for i in range(7):
            minute = first + (last - first) * i / 6
            parts.append(text(x(minute), bottom + 18, f"{minute:.0f} min" if last > 12 else f"{minute:.1f} min", "middle"))
    if len(series) > 1:
        parts += [part for part in legend([(entry[0], entry[1]) for entry in series], top + 12)]
    return parts
