"""Pictures of the experiment `policies`."""
import json
import textwrap

import pandas

from experiments import draw
from experiments.analysis.common import in_order

COSTS = (
    ("large", "large pages at the end, %"),
    ("calls", "calls for merging, a round"),
    ("added", "added pauses, a round"),
    ("pause_ticks", "pauses, ticks a round"),
)
MATRIX = (("large", "large at the end, %"), ("per_merge", "calls a merge"), ("added", "added pauses a round"))
RATES = (("share", "large pages, %"), ("calls", "calls for merging\na conversion"), ("pauses", "pauses a conversion"))


TITLE_COLUMNS = 34


def costs(frame):
    """Bars of one piece of work."""

    def make(figure, narrow):
        panels = figure.subplots(*((2, 2) if narrow else (1, 4)), sharey=True).flatten()
        for at, (axes, (member, title)) in enumerate(zip(panels, COSTS)):
            values = {name: None if value != value else value for name, value in zip(frame["policy"], frame[member])}
            draw.bars(axes, values, title.replace(", ", ",\n") if narrow else title, draw.colours(list(values)))
            axes.tick_params(axis="y", labelcolor=draw.INK, length=0)
            if at and not narrow:
                axes.spines["left"].set_visible(False)

    return make


# --- over time ---


def moves(points):
    """Whether anything happens in a line."""
    return any(share != points[0][1] for _, share in points)


def shares(samples, name_of):
    """{work: {policy: [(ms, percent)]}} of the first round of each, where anything happens."""
    groups = {}
    if "share.ms" not in samples:
        return groups
    for _, row in samples[samples["share.ms"].notna()].iterrows():
        points = list(
            zip(json.loads(row["share.ms"]), [100 * large / row["whole"] for large in json.loads(row["share.large"])])
        )
        if points:
            groups.setdefault(name_of(row), {}).setdefault(row["policy"], points)
    return {name: lines for name, lines in groups.items() if any(moves(points) for points in lines.values())}


def end_of(lines):
    """When the last change of any line is over."""
    ends = [
        max((ms for (ms, share), (_, before) in zip(points[1:], points) if share != before), default=0)
        for points in lines.values()
    ]
    return 1.3 * max(ends) or 1


def share(groups):
    def make(figure, narrow):
        columns = 1 if narrow else min(3, len(groups))
        panels = figure.subplots(-(-len(groups) // columns), columns, squeeze=False, sharey=True).flatten()
        for axes, (name, lines) in zip(panels, groups.items()):
            chosen, end = draw.colours(list(lines)), end_of(lines)
            for at, policy in enumerate(in_order(lines)):
                points = [p for p in lines[policy] if p[0] <= end]
                points.append((end, points[-1][1]))
                axes.step(
                    [p[0] for p in points],
                    [p[1] + 0.9 * at for p in points],
                    where="post",
                    color=chosen[policy],
                    label=policy,
                )
            axes.set_title(textwrap.fill(name, TITLE_COLUMNS))
            axes.set_ylim(-4, 108)
            axes.set_xlabel("ms")
            axes.xaxis.set_major_formatter(draw.SHORT)
        for axes in panels[len(groups) :]:
            axes.set_visible(False)
        most = max(range(len(groups)), key=lambda i: len(list(groups.values())[i]))
        draw.legend_below(figure, panels[most], narrow)

    return make


# --- all pieces of work ---


def matrix_panel(axes, values, title, label_columns):
    """Numbers in cells; `values` has a row for each piece of work and a column for each policy."""
    for y, (_, row) in enumerate(values.iterrows()):
        most = row.max()
        for x, value in enumerate(row):
            if not pandas.isna(value):
                axes.barh(
                    y, 0.94, left=x - 0.47, height=0.9, color=draw.COLOURS[0], alpha=0.55 * value / most if most else 0
                )
            axes.text(
                x,
                y,
                "–" if pandas.isna(value) else draw.short(value),
                ha="center",
                va="center",
                fontsize=8.5,
                color=draw.INK,
            )
    axes.set_title(title)
    axes.set_xlim(-0.5, values.shape[1] - 0.5)
    axes.set_ylim(len(values) - 0.5, -0.5)
    axes.set_xticks(range(values.shape[1]), values.columns)
    axes.set_yticks(range(len(values)), [textwrap.fill(name, label_columns) for name in values.index])
    axes.tick_params(labelcolor=draw.INK, length=0)
    axes.grid(False)
    for spine in axes.spines.values():
        spine.set_visible(False)


def matrix(frame):
    def make(figure, narrow):
        panels = figure.subplots(*((3, 1) if narrow else (1, 3)), sharey=not narrow)
        for axes, (member, title) in zip(panels, MATRIX):
            values = frame.pivot(index="work", columns="policy", values=member)
            values = values.reindex(index=frame["work"].unique(), columns=in_order(values.columns))
            matrix_panel(axes, values, title, 16 if narrow else 28)

    return make


# --- rates ---


def rates(samples):
    """A row for each policy and rate of conversions; None where there are none."""
    if "rate" not in samples or "steady.permille" not in samples:
        return None
    of = samples[samples["rate"].notna() & (samples["conversions"] > 0)]
    calls = of["seamcalls_for.policy"] + of["seamcalls_for.touches"]
    of = of.assign(
        share=of["steady.permille"] / 10, calls=calls / of["conversions"], pauses=of["pauses.count"] / of["conversions"]
    )
    return of.groupby(["policy", "rate"])[["share", "calls", "pauses"]].mean().reset_index() if len(of) else None


def rate(frame):
    def make(figure, narrow):
        panels = figure.subplots(*((3, 1) if narrow else (1, 3)))
        policies = in_order(frame["policy"].unique())
        chosen = draw.colours(policies)
        for axes, (member, title) in zip(panels, RATES):
            for policy in policies:
                line = frame[frame["policy"] == policy]
                axes.plot(line["rate"], line[member], marker="o", color=chosen[policy], label=policy)
            axes.set_xscale("log", base=2)
            axes.xaxis.set_major_formatter(draw.SHORT)
            axes.set_title(title.replace("\n", " ") if narrow else title)
            axes.set_xlabel("conversions a second")
            axes.set_ylim(bottom=0)
        draw.legend_below(figure, panels[0], narrow)

    return make
