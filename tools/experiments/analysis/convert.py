"""The experiment `convert`."""
from experiments import draw
from experiments.analysis.common import in_order
from experiments.words import count, listed, number

TITLE = "Conversions"
QUESTION = "What do n pages of a large page cost that are shared, taken back and merged again?"
READING = "Counts of calls are exact and hold for any platform; ticks are those of the machine that ran it."
NEEDS = ("step", "leaf", "pages", "seamcalls", "tracks", "tsc")
WHOLE = 512
STEPS = ("to shared", "to private", "merge")
FEWEST = {"2m": lambda n: 4 + 2 * n if n < WHOLE else 3, "1g": lambda n: 7 + 2 * n if n < WHOLE else 6}


def table(samples):
    """SEAMCALLs, TRACKs and ticks of each step, a row for leaf and pages."""
    rows = samples.groupby(["leaf", "pages"], sort=True)
    frame = (rows["step"].value_counts().groupby(level=[0, 1]).max()).rename("conversions").reset_index()
    for step in in_order(samples["step"].unique(), STEPS):
        of_step = samples[samples["step"] == step].groupby(["leaf", "pages"])[["seamcalls", "tracks", "tsc"]].median()
        of_step.columns = [f"{step}: SEAMCALLs", f"{step}: TRACKs", f"{step}: kiloticks"]
        of_step[f"{step}: kiloticks"] /= 1000
        frame = frame.merge(of_step.reset_index(), on=["leaf", "pages"], how="left")
    return frame


def picture(samples):
    def make(figure, narrow):
        leaves = sorted(samples["leaf"].unique(), reverse=True)
        panels = figure.subplots(*((len(leaves), 1) if narrow else (1, len(leaves))), squeeze=False).flatten()
        steps = in_order(samples["step"].unique(), STEPS)
        chosen = dict(zip(steps, (draw.COLOURS[3], draw.COLOURS[0], draw.COLOURS[2], *draw.COLOURS)))
        for axes, leaf in zip(panels, leaves):
            of_leaf = samples[samples["leaf"] == leaf]
            for step in steps:
                line = of_leaf[of_leaf["step"] == step].groupby("pages")["seamcalls"].median()
                parts, whole = line[line.index < WHOLE], line[line.index >= WHOLE]
                axes.plot(parts.index, parts.values, marker="o", color=chosen[step], label=step)
                axes.plot(whole.index, whole.values, "D", color=chosen[step])
            axes.set_xscale("log", base=2)
            axes.set_yscale("symlog", base=2, linthresh=1)
            axes.set_ylim(bottom=-0.3)
            axes.margins(y=0.05)
            axes.xaxis.set_major_formatter(draw.SHORT)
            axes.yaxis.set_major_formatter(draw.SHORT)
            axes.set_title(f"SEAMCALLs, {leaf.upper()} page")
            axes.set_xlabel("pages of 4K converted")
        draw.legend(figure, panels[-1], narrow, 3)

    return make


def say(samples, part):
    for leaf, group in samples[samples["step"] == "to shared"].groupby("leaf", sort=False):
        if leaf not in FEWEST:
            continue
        fewest = group["pages"].map(FEWEST[leaf])
        over = group[group["seamcalls"] > fewest]
        form = "4 + 2n" if leaf == "2m" else "7 + 2n"
        if over.empty:
            part.say(
                f"Sharing n pages of a {leaf.upper()} page took the fewest calls there are, {form} (less for a whole "
                f"region), "
                f"in {count(len(group), 'conversion')} of {number(len(group))}."
            )
        else:
            part.say(
                f"Sharing pages of a {leaf.upper()} page took more calls than the fewest possible ({form}) in "
                f"{number(len(over))} of "
                f"{count(len(group), 'conversion')}."
            )
    merges = samples[(samples["step"] == "merge") & (samples["seamcalls"] > 0)]
    if not merges.empty:
        calls = sorted(merges["seamcalls"].unique())
        part.say(
            f"A merge afterwards took {listed(number(c) for c in calls)} calls, however many pages had been converted."
        )


def analyse(samples, part):
    say(samples, part)
    part.picture(
        "calls",
        picture(samples),
        "SEAMCALLs to share n pages, to take them back and to merge again; diamonds: a whole region.",
        narrow_height=3.4 * samples["leaf"].nunique(),
    )
    part.table("calls", table(samples), "Medians for each number of pages.", keys=2)
