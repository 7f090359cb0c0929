"""The experiment `contention`."""
import pandas

from experiments import draw
from experiments.analysis.common import groups, varying
from experiments.words import count, number

TITLE = "Contention"
QUESTION = "What do vCPUs that fault and convert side by side, and a merge policy beside them, do to each other?"
READING = (
    "BUSY answers are those that the module's locks give although the VMM has locks that mirror them; on emulated "
    "CPUs they are "
    "distributions, in the lab one order of events for a profile."
)
NEEDS = ("policy", "phase", "vcpus", "busy.operand", "busy.epoch", "retries", "pauses.count", "pauses.p99_at_most")
PANELS = (("busy", "answers BUSY"), ("retries", "calls repeated"), ("p99", "99 of 100 pauses,\nticks at most"))
TITLES = {
    "busy": "BUSY of entries and tree",
    "epoch": "BUSY of TRACK",
    "retries": "calls repeated",
    "seamcalls": "SEAMCALLs",
    "merged": "merges",
    "pauses": "pauses",
    "p99": "p99 of pauses, ticks",
    "longest": "longest pause, ticks",
}


def row(group):
    return {
        "ms": group["ms"].median() if "ms" in group else None,
        "seamcalls": group["seamcalls"].mean(),
        "busy": group["busy.operand"].mean(),
        "epoch": group["busy.epoch"].mean(),
        "retries": group["retries"].mean(),
        "merged": group["did.merged"].mean() if "did.merged" in group else None,
        "pauses": group["pauses.count"].mean(),
        "p99": group["pauses.p99_at_most"].max(),
        "longest": group["pauses.longest_at_most"].max() if "pauses.longest_at_most" in group else None,
    }


def costs(samples):
    told = varying(samples, ("parameters.vcpus", "parameters.rounds"))
    keys = ["phase", "policy", *told, "vcpus"]
    frame = pandas.DataFrame([{**dict(zip(keys, names)), **row(group)} for names, group in groups(samples, keys)])
    names = [
        " ".join([r["policy"], *(f"{c.partition('.')[2]}={number(r[c])}" for c in told)]) for _, r in frame.iterrows()
    ]
    return frame, keys, names


def picture(frame, names):
    def make(figure, narrow):
        frame_ = frame.assign(_name=names)
        phases = list(dict.fromkeys(frame["phase"]))[::-1]
        chosen = dict(zip(dict.fromkeys(names), draw.COLOURS * len(names)))
        panels = figure.subplots(*((3 * len(phases), 1) if narrow else (len(phases), 3)), squeeze=False).flatten()
        for at, axes in enumerate(panels):
            phase, (member, title) = phases[at // 3], PANELS[at % 3]
            for name, line in frame_[frame_["phase"] == phase].groupby("_name", sort=False):
                axes.plot(line["vcpus"], line[member], marker="o", color=chosen[name], label=name)
            axes.set_title(f"{phase}: {title}".replace("\n", " ") if narrow else f"{phase}: {title}")
            axes.set_xticks(sorted(frame["vcpus"].unique()))
            axes.set_ylim(bottom=0)
            axes.yaxis.set_major_formatter(draw.SHORT)
            axes.set_xlabel("vCPUs")
        draw.legend_below(figure, panels[0], narrow, 2 if narrow else 4)

    return make


def analyse(samples, part):
    frame, keys, names = costs(samples)
    for phase, group in samples.groupby("phase", sort=False):
        most = group[group["vcpus"] == group["vcpus"].max()]
        part.say(
            f"{phase}, {count(int(group['vcpus'].max()), 'vCPU')}: {number(most['busy.operand'].mean())} answers "
            f"BUSY and "
            f"{number(most['retries'].mean())} repeated calls in {number(most['seamcalls'].mean())} SEAMCALLs, and "
            f"99 of 100 pauses took "
            f"{number(most['pauses.p99_at_most'].max())} ticks at most."
        )
    phases = frame["phase"].nunique()
    part.picture(
        "vcpus",
        picture(frame, names),
        "From one vCPU to all of them.",
        height=0.5 + 2.6 * phases,
        narrow_height=0.6 + 6 * phases,
    )
    part.table(
        "vcpus",
        frame,
        "Means of the samples.",
        keys=len(keys),
        titles={**TITLES, **{c: c.partition(".")[2] for c in keys if "." in c}},
    )
