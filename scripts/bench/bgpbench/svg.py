# SPDX-License-Identifier: BSD-2-Clause
"""Bar charts and lines as SVG, with nothing but text. Bars are on a logarithmic scale and carry their value."""
import math
from xml.sax.saxutils import escape

COLOURS = {"peregrined": "#b5482a", "bare relay": "#9aa0a6", "BIRD": "#3f6fa3", "FRR": "#5d8f57", "OpenBGPD": "#8a6fa8", "GoBGP": "#b08a3c"}
FONT = 'font-family="DejaVu Sans, Verdana, sans-serif"'


def text(x, y, words, size=12, anchor="start", colour="#222"):
    return f'<text x="{x:.1f}" y="{y:.1f}" {FONT} font-size="{size}" text-anchor="{anchor}" fill="{colour}">{escape(words)}</text>'


def number(v):
    return f"{v:.0f}" if v >= 100 else f"{v:.1f}" if v >= 10 else f"{v:.2f}" if v >= 0.1 else f"{v:.4f}"


def document(width, height, parts):
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}">'
            f'<rect width="{width}" height="{height}" fill="#fff"/>' + "".join(parts) + "</svg>\n")


def bars(title, panels, note=""):
    """panels: [(figure, unit, [(daemon, median, worst, over)])]; over: it was cut short, the truth is longer."""
    parts, y, width, left, room = [text(16, 26, title, 16)], 48, 760, 120, 520
    for figure, unit, rows in panels:
        values = [v for _, m, w, _ in rows for v in (m, w) if v and v > 0]
        if not values:
            continue
        low, high = math.log10(min(values)) - 0.35, math.log10(max(values))
        scale = room / max(high - low, 0.5)
        parts.append(text(16, y + 12, f"{figure} [{unit}], logarithmic", 12, colour="#555"))
        y += 20
        for daemon, median, worst, over in rows:
            length = max((math.log10(median) - low) * scale, 2) if median and median > 0 else 2
            parts.append(text(left - 8, y + 13, daemon, 12, "end"))
            parts.append(f'<rect x="{left}" y="{y}" width="{length:.1f}" height="17" fill="{COLOURS.get(daemon, "#777")}"'
                         + (' fill-opacity="0.45"' if over else "") + "/>")
            end = left + length
            if worst and median and worst > median > 0:
                tip = left + (math.log10(worst) - low) * scale
                parts.append(f'<line x1="{end:.1f}" x2="{tip:.1f}" y1="{y + 8.5}" y2="{y + 8.5}" stroke="#222"/>')
                end = tip
            words = ("> " if over else "") + number(median or 0) + (f" (worst {number(worst)})" if worst and worst > (median or 0) * 1.005 else "")
            parts.append(text(end + 6, y + 13, words))
            y += 22
        y += 12
    if note:
        parts.append(text(16, y + 8, note, 10, colour="#777"))
        y += 16
    return document(width, y + 10, parts)


def lines(title, unit, series, note=""):
    """series: {name: [y...]}: over an even x, from 0."""
    width, height, left, top = 760, 320, 70, 48
    high = max((max(v) for v in series.values() if v), default=1) * 1.1 or 1
    w, h = width - left - 120, height - top - 50
    parts = [text(16, 26, title, 16), text(16, top + 4, unit, 11, colour="#555")]
    for k in range(5):
        y = top + h - h * k / 4
        parts.append(f'<line x1="{left}" x2="{left + w}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ddd"/>' + text(left - 6, y + 4, number(high * k / 4), 10, "end"))
    for name, values in series.items():
        if len(values) < 2:
            continue
        points = " ".join(f"{left + w * i / (len(values) - 1):.1f},{top + h - h * v / high:.1f}" for i, v in enumerate(values))
        colour = COLOURS.get(name, "#777")
        parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts.append(text(left + w + 6, top + h - h * values[-1] / high + 4, name, 11, colour=colour))
    if note:
        parts.append(text(16, height - 10, note, 10, colour="#777"))
    return document(width, height, parts)
