"""The experiment `fragment`."""
import pandas

from experiments import draw
from experiments.analysis.common import groups, varying
from experiments.words import count, number

TITLE = "Scattered regions"
QUESTION = "What does it cost to gather a scattered region, r pages away from home, against leaving it?"
READING = (
    "Reads until it pays: the ticks that gathering takes, through those that a read of the region gains. On a "
    "simulated platform the time of "
    "a read is the emulator's."
)
NEEDS = ("step", "away", "seamcalls", "tsc", "accesses", "work_tsc")
TITLES = {
    "away": "pages away",
    "seamcalls": "SEAMCALLs",
    "least": "2r + 4",
    "tracks": "TRACKs",
    "pauses": "pauses",
    "ticks": "ticks to gather",
    "left": "ticks a read, left",
    "gathered": "ticks a read, gathered",
    "left_misses": "misses of 1000, left",
    "gathered_misses": "misses of 1000, gathered",
    "pays": "reads until it pays",
}


def reads(group, step):
    """(ticks a read, misses of 1000 reads) in a step."""
    of = group[group["step"] == step]
    accesses = of["accesses"].sum()
    if not accesses:
        return None, None
    walks = [c for c in ("walks.4k", "walks.2m", "walks.1g") if c in of]
    return of["work_tsc"].sum() / accesses, 1000 * of[walks].sum().sum() / accesses if walks else None


def row(group):
    gather = group[group["step"] == "gather"]
    (left, left_misses), (gathered, gathered_misses) = reads(group, "left"), reads(group, "gathered")
    ticks = gather["tsc"].median()
    gains = left is not None and gathered is not None and left > gathered
    return {
        "seamcalls": gather["seamcalls"].median(),
        "tracks": gather["tracks"].median() if "tracks" in gather else None,
        "ticks": ticks,
        "pauses": gather["pauses.count"].mean() if "pauses.count" in gather else None,
        "left": left,
        "gathered": gathered,
        "left_misses": left_misses,
        "gathered_misses": gathered_misses,
        "pays": ticks / (left - gathered) if gains else None,
    }


def costs(samples):
    keys = [*varying(samples, ("parameters.rounds", "parameters.count")), "away"]
    rows = [{**dict(zip(keys, names)), **row(group)} for names, group in groups(samples, keys)]
    frame = pandas.DataFrame(rows)
    frame.insert(len(keys) + 1, "least", 2 * frame["away"] + 4)
    return frame, keys


def picture(frame):
    def make(figure, narrow):
        calls, ticks = figure.subplots(*((2, 1) if narrow else (1, 2)))
        calls.plot(frame["away"], frame["seamcalls"], marker="o", color=draw.COLOURS[0], label="gathered")
        calls.plot(frame["away"], frame["least"], linestyle="--", color=draw.COLOURS[6], linewidth=1.2, label="2r + 4")
        calls.legend()
        calls.set_title("SEAMCALLs to gather")
        ticks.plot(frame["away"], frame["ticks"], marker="o", color=draw.COLOURS[3])
        ticks.set_title("ticks to gather")
        for axes in (calls, ticks):
            axes.set_xscale("log", base=2)
            axes.set_yscale("log", base=2 if axes is calls else 10)
            axes.xaxis.set_major_formatter(draw.SHORT)
            axes.yaxis.set_major_formatter(draw.SHORT)
            axes.set_xlabel("pages away from home")

    return make


def analyse(samples, part):
    frame, keys = costs(samples)
    gathers = samples[samples["step"] == "gather"]
    exact = int((gathers["seamcalls"] == 2 * gathers["away"] + 4).sum())
    part.say(f"Gathering took 2r + 4 SEAMCALLs in {exact} of {count(len(gathers), 'region')}.")
    most = frame.loc[frame["away"].idxmax()]
    if most["left_misses"] is not None and most["left_misses"] == most["left_misses"]:
        part.say(
            f"Of 1000 random reads of the region {number(most['left_misses'])} missed the TLB before and "
            f"{number(most['gathered_misses'])} after it was "
            f"gathered ({number(most['away'])} pages away)."
        )
    part.picture(
        "gather",
        picture(frame),
        "What it takes to gather a region with r pages away from home.",
        height=3.3,
        narrow_height=5.6,
    )
    part.table(
        "gather",
        frame.dropna(axis="columns", how="all"),
        "Medians; reads are at random within the region.",
        keys=len(keys),
        titles={**TITLES, **{c: c.partition(".")[2] for c in keys if c.startswith("parameters.")}},
    )
