"""The experiment `policies`."""
from experiments import draw
from experiments.analysis.common import headings, in_order, varying
from experiments.words import listed, number

TITLE = "Merge policies"
QUESTION = "What does each merge policy make of the same work, and what does it cost the TD?"
READING = ("What the conversions alone take is what the policy none shows; “of these for merging” is the difference to it. A pause is a time "
           "that a vCPU was out because of its memory. Counts depend a little on how threads meet; ticks and milliseconds are those of the "
           "machine.")
NEEDS = ("policy", "workload", "seamcalls", "tracks", "pauses.count", "pauses.total")
KEYS = ["workload", "policy"]
# How long a policy may take is no part of the work; runs that differ in it alone are of one kind.
NOT_WORK = ("parameters.settle", "parameters.step", "parameters.rounds")


def median(group, member):
    return group[member].median() if member in group else None


def row(group, regions):
    """What one policy did under one workload, per round, and per region where it is about calls."""
    settled = group["settled"].astype(bool) if "settled" in group else None
    return {
        "rounds": len(group),
        "large": 100 * settled.mean() if settled is not None else None,
        "ms": median(group[settled], "ms") if settled is not None and settled.any() else None,
        "seamcalls": group["seamcalls"].mean() / regions,
        "tracks": group["tracks"].mean() / regions,
        "kicks": median(group, "kicks"),
        "ipis": median(group, "ipis"),
        "pauses": group["pauses.count"].mean(),
        "pause_ticks": group["pauses.total"].mean(),
        "p99": group["pauses.p99_at_most"].max() if "pauses.p99_at_most" in group else None,
    }


TITLES = {"rounds": "rounds", "large": "all large again, %", "ms": "after, ms", "seamcalls": "SEAMCALLs a region",
          "merging": "of these for merging", "tracks": "TRACKs a region", "kicks": "rounds of kicks", "ipis": "IPIs", "pauses": "pauses a round",
          "pause_ticks": "pauses a round, ticks", "p99": "p99 of pauses, ticks at most"}


def order(frame):
    frame = frame.assign(_at=frame["policy"].map({name: i for i, name in enumerate(in_order(frame["policy"].unique()))}))
    others = [c for c in frame.columns if c.startswith("parameters.")]
    return frame.sort_values(["workload", *others, "_at"], kind="stable").drop(columns="_at").reset_index(drop=True)


def costs(samples):
    """A row for each workload and policy, and for each set of parameters that the work was done with."""
    keys = ["workload", *varying(samples, NOT_WORK), "policy"]
    rows = []
    for names, group in samples.groupby(keys, sort=True, dropna=False):
        regions = group["parameters.regions"].iloc[0] if "parameters.regions" in group else 1
        rows.append({**dict(zip(keys, names)), **row(group, regions)})
    frame = order(samples.__class__(rows))
    work = keys[:-1]
    least = frame[frame["policy"] == "none"].set_index(work)["seamcalls"]
    alone = [least.get(tuple(r[k] for k in work) if len(work) > 1 else r[work[0]]) for _, r in frame.iterrows()]
    merging = [None if a is None or p == "none" else s - a for s, a, p in zip(frame["seamcalls"], alone, frame["policy"])]
    frame.insert(list(frame.columns).index("seamcalls") + 1, "merging", merging)
    return frame, keys


PANELS = (("seamcalls", "SEAMCALLs a region"), ("tracks", "TRACKs a region"), ("pauses", "pauses a round"), ("ms", "ms until all is large"))


def picture(frame):
    def make(figure, narrow):
        panels = figure.subplots(*((2, 2) if narrow else (1, 4)), sharey=True).flatten()
        names = frame["policy"].tolist()
        for at, (axes, (member, title)) in enumerate(zip(panels, PANELS)):
            values = dict(zip(names, [None if v is None or v != v else float(v) for v in frame[member]]))
            draw.bars(axes, values, title, draw.colours(names))
            axes.tick_params(axis="y", labelcolor=draw.INK, length=0)
            if at and not narrow:
                axes.spines["left"].set_visible(False)
        if not all(v == v for v in frame["ms"]):
            panels[3].set_title("ms until all is large\n– not within the run")
    return make


def say(frame, part):
    for workload, group in frame.groupby("workload", sort=True):
        done, idle = group[group["large"] >= 100], group[(group["large"] < 100) | group["large"].isna()]
        if done.empty:
            part.say(f"Workload {workload}: no policy made all regions large again.")
            continue
        cheapest = done.sort_values("seamcalls").iloc[0]
        calmest = done.sort_values("pauses").iloc[0]
        text = (f"Workload {workload}: all regions became large again under {listed(done['policy'])}; {cheapest['policy']} took the fewest SEAMCALLs "
                f"({number(cheapest['seamcalls'])} a region), {calmest['policy']} caused the fewest pauses ({number(calmest['pauses'])} a round).")
        if not idle.empty:
            text += f" Not all became large under {listed(idle['policy'].unique())}."
        part.say(text)


def analyse(samples, part):
    frame, keys = costs(samples)
    say(frame, part)
    works = [k for k in keys if k != "policy"]
    for names, group in frame.groupby(works if len(works) > 1 else works[0], sort=False):
        names = names if isinstance(names, tuple) else (names,)
        what = ", ".join(f"{k.rpartition('.')[2]} {number(v)}" for k, v in zip(works, names))
        part.picture("cost-" + "-".join(str(n).replace(" ", "-") for n in names), picture(group), f"Cost and effect, {what}.",
                     height=0.9 + 0.36 * len(group), narrow_height=1.8 + 0.62 * len(group))
    part.table("cost", frame, "Means of the rounds; ms: the median of the rounds in which all regions became large again.", keys=len(keys),
               titles={**TITLES, **headings(keys)})
