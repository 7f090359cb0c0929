"""The experiment `zerostep`."""
import pandas

from experiments import draw
from experiments.analysis.common import groups, in_order, varying
from experiments.words import count, listed, number

TITLE = "The zero-step filter"
QUESTION = "What does a vCPU meet that is entered again and again in one fault, and does any policy bring it there?"
READING = (
    "Entries that the filter answers do not run the TD; while it is on, VP.ENTER takes the whole Secure EPT to "
    "itself. A policy must never "
    "bring a vCPU there."
)
NEEDS = ("step", "refused", "seamcalls")
STEPS = ("alone", "beside", "policy")


def entries(samples):
    """A row for each step of a vCPU that stands in a fault."""
    of = samples[samples["step"] != "policy"]
    keys = [*varying(samples, ("parameters.rounds", "parameters.ms")), "step"]
    members = [
        m for m in ("entered", "ran", "ran_first", "refused", "operations", "busy") if m in of and of[m].notna().any()
    ]
    rows = [{**dict(zip(keys, names)), **{m: group[m].mean() for m in members}} for names, group in groups(of, keys)]
    return pandas.DataFrame(rows), keys


def policies(samples):
    of = samples[samples["step"] == "policy"]
    rows = [
        {
            "policy": policy,
            "conversions": group["conversions"].sum(),
            "blocked": group["did.blocked"].sum() if "did.blocked" in group else None,
            "merged": group["did.merged"].sum() if "did.merged" in group else None,
            "refused": group["refused"].sum(),
        }
        for policy, group in of.groupby("policy", sort=False)
    ]
    frame = pandas.DataFrame(rows)
    return (
        frame.sort_values("policy", key=lambda c: c.map(in_order(c.tolist()).index)).reset_index(drop=True)
        if rows
        else frame
    )


def picture(frame):
    """Entries that ran the TD, and that the filter answered."""

    def make(figure, narrow):
        axes = figure.subplots()
        names = frame["step"].tolist()
        axes.barh(names, frame["ran"], color=draw.COLOURS[2], height=0.55, label="ran the TD")
        axes.barh(
            names,
            frame["refused"],
            left=frame["ran"],
            color=draw.COLOURS[3],
            height=0.55,
            label="answered by the filter",
        )
        axes.set_ylim(len(names) - 0.5, -0.5)
        axes.tick_params(axis="y", labelcolor=draw.INK, length=0)
        axes.grid(axis="y", visible=False)
        axes.set_xlabel("entries")
        draw.legend_below(figure, axes, narrow, 2)

    return make


def analyse(samples, part):
    frame, keys = entries(samples)
    table = policies(samples)
    alone = samples[samples["step"] == "alone"]
    if not alone.empty and "ran_first" in alone:
        ran = sorted(alone["ran_first"].unique())
        part.say(
            f"A vCPU ran {listed(number(r) for r in ran)} times in one fault before the filter answered in its place."
        )
    if not table.empty:
        there = table[table["refused"] > 0]
        part.say(
            f"No policy brought a vCPU there in {count(int(table['conversions'].sum()), 'conversion')}."
            if there.empty
            else f"The filter answered under {listed(there['policy'])}: {number(there['refused'].sum())} times."
        )
    if {"ran", "refused"} <= set(frame.columns) and not frame.empty and len(keys) == 1:
        part.picture(
            "entries",
            picture(frame),
            "Entries of a vCPU that stands in a fault: alone, and while the console blocks and unblocks.",
            height=2.2,
            narrow_height=2.4,
        )
    part.table(
        "entries",
        frame,
        "Means of the rounds.",
        keys=len(keys),
        titles={
            "ran": "ran the TD",
            "ran_first": "before the first refusal",
            "refused": "answered by the filter",
            "busy": "answers BUSY",
        },
    )
    if not table.empty:
        part.table(
            "policies",
            table,
            "What the filter answered while each policy worked.",
            titles={"refused": "answered by the filter"},
        )
