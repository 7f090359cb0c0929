"""The experiment `sensitivity`: which answers of `policies` hang on numbers that are assumed."""
import json

import pandas

from experiments import draw
from experiments.analysis.common import in_order
from experiments.words import count, listed, number, slug

TITLE = "What hangs on assumptions"
QUESTION = (
    "Which rankings of the policies change when an assumed number of the profile is a quarter to four times as large, "
    "and which do not?"
)
READING = (
    "Each run has one number of the profile scaled, or all of them; what has a published source is left alone. A "
    "ranking that no run "
    "changes does not hang on an assumption."
)
NEEDS = ("scaled", "factor")
METRICS = {
    "seamcall_ticks": "ticks of all SEAMCALLs",
    "pauses_total": "pauses of vCPUs, ticks",
    "pauses_p99": "99 of 100 pauses, ticks",
    "till_merged_us": "µs from ready to large",
}
SHOWN_MAX = 6  # scaled numbers that are named in a cell


def metrics_of(samples):
    """(metric, workload, policy, column) of each figure that a run has."""
    for column in [c for c in samples.columns if c.startswith("metrics.")]:
        metric, _, rest = column.removeprefix("metrics.").partition(".")
        workload, _, policy = rest.rpartition(".")
        yield metric, workload, policy, column


def ranges(samples):
    """A row for metric, workload and policy: with the profile as it is, and the least and most of all runs."""
    plain = samples[samples["scaled"] == "none"]
    rows = [
        {
            "metric": metric,
            "workload": workload,
            "policy": policy,
            "as it is": plain[column].mean(),
            "least": samples[column].min(),
            "most": samples[column].max(),
        }
        for metric, workload, policy, column in metrics_of(samples)
    ]
    frame = pandas.DataFrame(rows)
    place = {"policy": {name: at for at, name in enumerate(in_order(frame["policy"].unique()))}}
    return frame.sort_values(
        ["metric", "workload", "policy"],
        key=lambda c: c.map(place["policy"]) if c.name == "policy" else c,
        kind="stable",
    ).reset_index(drop=True)


def swaps(samples):
    """{(metric, first, then): [(scaled, factor)]}: pairs that change places, with which numbers; `first` names the
    workload, too, where it says so."""
    found = {}
    for column in [c for c in samples.columns if c.startswith("swapped.")]:
        for _, row in samples[samples[column].notna()].iterrows():
            pairs = json.loads(row[column]) if isinstance(row[column], str) else []
            for *where, first, then in pairs:
                found.setdefault((column.removeprefix("swapped."), *where, first, then), []).append(
                    (row["scaled"], row["factor"])
                )
    return found


def swap_table(found):
    rows = []
    for (metric, *where, first, then), runs in sorted(found.items()):
        words = [f"{scaled} × {number(factor)}" for scaled, factor in runs]
        more = f" and {len(words) - SHOWN_MAX} more" if len(words) > SHOWN_MAX else ""
        rows.append(
            {
                "metric": metric,
                "pair": " ".join([*where, f"{first} before {then}"]),
                "runs": len(words),
                "scaled": ", ".join(words[:SHOWN_MAX]) + more,
            }
        )
    return pandas.DataFrame(rows)


def picture(frame):
    """For each metric a line for each policy, from the least to the most of all runs, with a dot where nothing is
    scaled."""

    def make(figure, narrow):
        metrics = [m for m in METRICS if m in frame["metric"].values]
        panels = figure.subplots(
            *((len(metrics), 1) if narrow else (1, len(metrics))), squeeze=False, sharey=True
        ).flatten()
        policies = in_order(frame["policy"].unique())
        chosen = draw.colours(policies)
        for axes, metric in zip(panels, metrics):
            of_metric = frame[frame["metric"] == metric].set_index("policy")
            for at, policy in enumerate(policies):
                if policy not in of_metric.index:  # it never got there
                    axes.text(0, at, " –", va="center", color=draw.MUTED)
                    continue
                row = of_metric.loc[policy]
                axes.plot(
                    [row["least"], row["most"]],
                    [at, at],
                    color=chosen[policy],
                    linewidth=5,
                    alpha=0.45,
                    solid_capstyle="round",
                )
                axes.plot(row["as it is"], at, "o", color=chosen[policy])
            axes.set_yticks(range(len(policies)), policies)
            axes.tick_params(axis="y", labelcolor=draw.INK, length=0)
            axes.set_ylim(len(policies) - 0.5, -0.5)
            axes.set_xlim(left=0)
            axes.xaxis.set_major_formatter(draw.SHORT)
            axes.xaxis.set_major_locator(draw.few_ticks())
            axes.set_title(METRICS[metric])
            axes.grid(axis="y", visible=False)

    return make


def say(samples, found, part):
    runs = len(samples[samples["scaled"] != "none"])
    phrase = lambda metric: METRICS.get(metric, metric).partition(",")[0]  # noqa: E731
    metrics = list(dict.fromkeys(metric for metric, *_ in metrics_of(samples)))
    firm = [phrase(metric) for metric in metrics if not any(key[0] == metric for key in found)]
    if firm:
        part.say(
            f"By {listed(firm)} the policies stand in the same order in all of {count(runs, 'run')}, whatever number "
            f"is scaled."
        )
    for metric in metrics:
        pairs = {key[1:] for key in found if key[0] == metric}
        if pairs:
            numbers = {
                "all together" if scaled == "all" else scaled
                for key, scaled_by in found.items()
                if key[0] == metric
                for scaled, _ in scaled_by
            }
            part.say(
                f"By {phrase(metric)} {count(len(pairs), 'pair')} of policies change places, with "
                f"{count(len(numbers), 'number')} "
                f"of the profile: "
                f"{listed(sorted(numbers)[:SHOWN_MAX])}{' and others' if len(numbers) > SHOWN_MAX else ''}."
            )


def analyse(samples, part):
    found, frame = swaps(samples), ranges(samples)
    say(samples, found, part)
    for workload, group in frame.groupby("workload", sort=False):
        name = "ranges" if frame["workload"].nunique() == 1 else f"ranges-{slug(workload)}"
        part.picture(
            name,
            picture(group),
            f"{workload}: the least and the most of all runs; the dot: with the profile as it is.",
            height=2.9,
            narrow_height=6.4,
        )
    if found:
        part.table(
            "swaps",
            swap_table(found),
            "Pairs of policies that change places, and with which numbers.",
            keys=2,
            titles={"pair": "the order that changes"},
        )
    part.table("ranges", frame, "Over all runs.", keys=3)
