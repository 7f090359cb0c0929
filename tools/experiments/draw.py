"""Pictures of the report: one look for all, each drawn twice, for a wide page and for a narrow one.

A file of its own has a white ground and the colours of tools/pictures/svg.py. What goes into the report gets the page's colours
instead, so that it follows light and dark mode, and its text the page's font.
"""
import html
import re

import matplotlib

matplotlib.use("svg")

import matplotlib.pyplot as plt  # noqa: E402
from matplotlib.ticker import FuncFormatter, MaxNLocator  # noqa: E402

from pictures.svg import COLOURS  # noqa: E402

INK, MUTED, GRID, PAPER = "#20262e", "#66707c", "#dfe4ea", "#fffffe"
WIDE, NARROW = 10.0, 4.5  # inches; the page shows an inch of either as about 90 pixels
PNG_DPI = 150
LEGEND_ROW_INCHES, MACHINE_INCHES = 0.24, 0.18
LOOK = {
    "svg.fonttype": "none",
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "text.color": INK,
    "axes.labelcolor": MUTED,
    "axes.edgecolor": MUTED,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.titlecolor": INK,
    "axes.titleweight": "bold",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.linewidth": 0.8,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.major.size": 3,
    "ytick.major.size": 0,
    "legend.frameon": False,
    "lines.linewidth": 2,
    "lines.markersize": 5,
    "figure.facecolor": PAPER,
    "axes.facecolor": PAPER,
    "savefig.facecolor": PAPER,
    "figure.constrained_layout.use": True,
}
# Policies keep their colours in all pictures; what else is told apart takes the colours in their order.
POLICY_COLOURS = {
    "none": COLOURS[6],
    "scan": COLOURS[0],
    "fault": COLOURS[1],
    "block": COLOURS[3],
    "ready": COLOURS[2],
    "hot": COLOURS[4],
}
PAGE_COLOURS = {
    INK: "var(--ink)",
    MUTED: "var(--muted)",
    GRID: "var(--grid)",
    PAPER: "none",
    **{colour: f"var(--c{i})" for i, colour in enumerate(COLOURS)},
}


def colours(names):
    """{name: colour}: the policies' own, others in turn."""
    free = [c for c in COLOURS if not any(POLICY_COLOURS.get(name) == c for name in names)] or list(COLOURS)
    others = [name for name in names if name not in POLICY_COLOURS]
    return {name: POLICY_COLOURS.get(name) or free[others.index(name) % len(free)] for name in names}


def short(value):
    """A number as people write it on an axis: 1200000 as 1.2M."""
    for limit, unit in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= limit:
            return f"{value / limit:.3g}{unit}"
    return f"{value:.3g}"


SHORT = FuncFormatter(lambda value, _: short(value))


def few_ticks():
    """For a panel that is narrow on any page."""
    return MaxNLocator(nbins=4)


def bars(axes, values, title, chosen, label=short):
    """A bar with its number for each name in `values`, the first on top."""
    names = list(values)
    shown = [0 if value is None or value != value else value for value in values.values()]
    axes.barh(names, shown, color=[chosen[name] for name in names], height=0.62)
    most = max(shown, default=0) or 1
    for at, (value, height) in enumerate(zip(values.values(), shown)):
        missing = value is None or value != value
        axes.text(height + most * 0.02, at, "–" if missing else label(value), va="center", color=MUTED, fontsize=9)
    axes.set_title(title)
    axes.set_xlim(0, most * 1.22)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.grid(False)
    axes.spines["bottom"].set_visible(False)
    axes.xaxis.set_visible(False)


def legend_below(figure, axes, narrow, columns=None):
    """Names of the lines, below the picture; of a picture with several axes, those of `axes`."""
    handles, labels = axes.get_legend_handles_labels()
    columns = columns or (3 if narrow else 6)
    inches = LEGEND_ROW_INCHES * -(-len(labels) // columns)
    strip, below = MACHINE_INCHES / figure.get_figheight(), (MACHINE_INCHES + inches) / figure.get_figheight()
    figure.legend(handles, labels, loc="lower left", bbox_to_anchor=(0, strip), ncol=columns, fontsize=9)
    figure.get_layout_engine().set(rect=(0, below, 1, 1 - below))


def legend(figure, axes, narrow, columns=None):
    """Names of the lines: beside a wide picture, below a narrow one."""
    if narrow:
        legend_below(figure, axes, narrow, columns or 2)
    else:
        axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5))


def picture(path, draw, machine, height=3.9, narrow_height=3.9):
    """Draws into PATH.svg, PATH.png and PATH-narrow.svg; draw(figure, narrow) makes the axes. Whose figures they are is said in
    the picture itself, wherever it goes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    for narrow in (False, True):
        with plt.rc_context({**LOOK, "svg.hashsalt": path.name}):
            figure = plt.figure(figsize=(NARROW, narrow_height) if narrow else (WIDE, height))
            strip = MACHINE_INCHES / figure.get_figheight()
            figure.get_layout_engine().set(rect=(0, strip, 1, 1 - strip))
            draw(figure, narrow)
            figure.text(0.995, 0.04 / figure.get_figheight(), machine, ha="right", va="bottom", fontsize=8, color=MUTED)
            figure.savefig(f"{path}{'-narrow' if narrow else ''}.svg", metadata={"Date": None, "Creator": None})
            if not narrow:
                figure.savefig(f"{path}.png", dpi=PNG_DPI, metadata={"Software": None})
            plt.close(figure)


def _font(match):
    """`font: 700 10px 'DejaVu Sans'` without the family."""
    weight = re.search(r"\b(bold|[1-9]00)\b", match[1])
    size = re.search(r"[0-9.]+px", match[1])
    return (f"font-weight: {weight[1]}; " if weight else "") + f"font-size: {size[0]}"


def inline(text, prefix, label):
    """A file's SVG as a part of a page: its names made unique, its colours and its font those of the page."""
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r"<style[^>]*>.*?</style>", "", text, flags=re.DOTALL)
    text = re.sub(r'\bid="([^"]+)"', rf'id="{prefix}-\1"', text)
    text = re.sub(r'href="#([^"]+)"', rf'href="#{prefix}-\1"', text)
    text = re.sub(r"url\(#([^)]+)\)", rf"url(#{prefix}-\1)", text)
    for colour, variable in PAGE_COLOURS.items():
        text = text.replace(colour, variable)
    text = re.sub(r"font: ([^;\"]*)", _font, text)
    box = re.search(r'viewBox="([^"]*)"', text)[1]
    return re.sub(
        r"<svg [^>]*>", lambda _: f'<svg viewBox="{box}" role="img" aria-label="{html.escape(label)}">', text, count=1
    )
