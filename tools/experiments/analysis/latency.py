"""The experiment `latency`."""
import pandas

from experiments import draw
from experiments.words import count, number

TITLE = "Latency of SEAMCALLs"
QUESTION = "How long does each SEAMCALL of a TD's life take, by leaf and by level?"
READING = (
    "Ticks of the TSC, with what the machine does to a call added: on an emulated machine this is the host's work, "
    "and says which "
    "calls are long, not how long they are on a server."
)
NEEDS = ("leaf", "level", "count", "total", "median_at_most", "p99_at_most", "longest")
LEVELS = ("4k", "2m", "1g", "512g", "none")
# Calls of the TD's memory, whose cost a merge policy pays.
MEMORY = (
    "TDH.MEM.RANGE.BLOCK",
    "TDH.MEM.RANGE.UNBLOCK",
    "TDH.MEM.TRACK",
    "TDH.MEM.PAGE.PROMOTE",
    "TDH.MEM.PAGE.DEMOTE",
    "TDH.MEM.SEPT.RD",
    "TDH.MEM.PAGE.AUG",
    "TDH.MEM.PAGE.REMOVE",
    "TDH.MEM.PAGE.RELOCATE",
)


def calls(samples):
    """A row for each leaf and level; of several runs the sum of counts and the worst of bounds."""
    rows = samples.groupby(["leaf", "level"], sort=False)
    frame = rows[["count", "total"]].sum()
    frame["least"] = rows["least"].min() if "least" in samples else None
    for member in ("median_at_most", "p99_at_most", "longest"):
        frame[member] = rows[member].max()
    frame.insert(2, "mean", frame["total"] / frame["count"])
    frame = frame.drop(columns="total").reset_index()
    frame["_at"] = frame["level"].map(lambda level: LEVELS.index(level) if level in LEVELS else len(LEVELS))
    return frame.sort_values(["leaf", "_at"], kind="stable").drop(columns="_at").reset_index(drop=True)


def name_of(row):
    return row["leaf"].replace("TDH.", "") + ("" if row["level"] == "none" else f" {row['level'].upper()}")


def is_number(value):
    return value is not None and not pandas.isna(value)


def picture(frame):
    """A line from the shortest call to 99 of 100, with a dot at the median."""

    def make(figure, narrow):
        axes = figure.subplots()
        for at, (_, row) in enumerate(frame.iterrows()):
            start = row["least"] if is_number(row["least"]) and row["least"] > 0 else row["median_at_most"]
            axes.plot([start, row["p99_at_most"]], [at, at], color=draw.COLOURS[1], linewidth=4, solid_capstyle="round")
            axes.plot(row["median_at_most"], at, "o", color=draw.COLOURS[0])
        axes.set_yticks(range(len(frame)), [name_of(row) for _, row in frame.iterrows()])
        axes.tick_params(axis="y", labelcolor=draw.INK, length=0)
        axes.set_ylim(len(frame) - 0.5, -0.5)
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(draw.SHORT)
        axes.grid(axis="y", visible=False)
        axes.set_xlabel("ticks: from the shortest to 99 of 100;" + ("\n" if narrow else " ") + "the dot is the median")

    return make


def analyse(samples, part):
    frame = calls(samples)
    memory = frame[frame["leaf"].isin(MEMORY)].reset_index(drop=True)
    part.say(f"{count(int(frame['count'].sum()), 'call')} of {len(frame)} kinds of leaf and level were timed.")
    if not memory.empty:
        cheap, dear = memory.loc[memory["median_at_most"].idxmin()], memory.loc[memory["median_at_most"].idxmax()]
        part.say(
            f"Of the calls on the TD's memory {name_of(dear)} takes longest and {name_of(cheap)} shortest: half of "
            f"them took "
            f"{number(dear['median_at_most'])} and {number(cheap['median_at_most'])} ticks at most."
        )
        part.picture(
            "memory",
            picture(memory),
            "Calls on the TD's memory, in ticks.",
            height=1 + 0.27 * len(memory),
            narrow_height=1 + 0.27 * len(memory),
        )
    part.table(
        "calls",
        frame,
        "Ticks; median, p99: at most, as far as the histogram tells.",
        keys=2,
        titles={"median_at_most": "median", "p99_at_most": "p99"},
    )
