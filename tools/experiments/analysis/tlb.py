"""The experiment `tlb`."""
import pandas

from experiments import draw
from experiments.analysis.common import groups, in_order, varying
from experiments.words import number

TITLE = "TLB misses by page size"
QUESTION = "How many TLB misses do 2M and 1G pages save?"
READING = (
    "Misses are those that the TD's own performance counters show. How large a machine's TLBs are and what a walk "
    "costs is that machine's: "
    "the simulated platform's TLB has one level, and `cycles` there are entries that walks read."
)
NEEDS = ("page", "order", "working_set", "accesses", "work_tsc")
PAGES = ("4k", "2m", "1g")
ORDERS = ("sequential", "strided", "random", "zipf")


def rates(samples):
    """A row for page size, order and working set: misses and ticks an access."""
    keys = ["order", "working_set", *varying(samples, ("parameters.least", "parameters.most")), "page"]
    rows = []
    for names, group in groups(samples, keys):
        accesses = group["accesses"].sum()
        counted = group["misses"].notna().all() if "misses" in group else False
        cycles = group["walks.cycles"].sum() / accesses if "walks.cycles" in group and counted else None
        rows.append(
            {
                **dict(zip(keys, names)),
                "accesses": accesses,
                "misses": 1000 * group["misses"].sum() / accesses if counted else None,
                "walk": cycles,
                "ticks": group["work_tsc"].sum() / accesses,
            }
        )
    frame = pandas.DataFrame(rows)
    place = {"order": ORDERS, "page": PAGES}
    frame = frame.sort_values(
        keys,
        key=lambda c: c.map(lambda v: in_order(list(place[c.name]) + [v], place[c.name]).index(v))
        if c.name in place
        else c,
        kind="stable",
    )
    return frame.reset_index(drop=True), keys


def picture(frame):
    def make(figure, narrow):
        orders = in_order(frame["order"].unique(), ORDERS)
        columns = 1 if narrow else min(4, len(orders))
        panels = figure.subplots(-(-len(orders) // columns), columns, squeeze=False, sharey=True).flatten()
        pages = in_order(frame["page"].unique(), PAGES)
        chosen = dict(zip(pages, (draw.COLOURS[3], draw.COLOURS[0], draw.COLOURS[2])))
        for axes, order in zip(panels, orders):
            for page in pages:
                line = (
                    frame[(frame["order"] == order) & (frame["page"] == page)].groupby("working_set")["misses"].mean()
                )
                axes.plot(
                    [size / 2**20 for size in line.index],
                    line.values,
                    marker="o",
                    color=chosen[page],
                    label=page.upper(),
                )
            axes.set_xscale("log", base=2)
            axes.xaxis.set_major_formatter(draw.SHORT)
            axes.set_title(order)
            axes.set_xlabel("working set, MiB")
        panels[0].set_ylim(-20, 1.05 * max(frame["misses"].max(), 20))
        panels[0].set_ylabel("misses of 1000")
        draw.legend_below(figure, panels[0], narrow)

    return make


def say(frame, part):
    for order in in_order(frame["order"].unique(), ORDERS):
        of_order = frame[frame["order"] == order]
        largest = of_order[of_order["working_set"] == of_order["working_set"].max()].set_index("page")["misses"]
        small = largest.get("4k")
        saved = [f"{page.upper()} pages {number(largest[page])}" for page in PAGES[1:] if page in largest]
        if small is not None and saved:
            part.say(
                f"{order}, {number(of_order['working_set'].max() / 2**20)} MiB: of 1000 accesses {number(small)} "
                f"miss with 4K pages, with "
                f"{' and '.join(saved)}."
            )


def analyse(samples, part):
    frame, keys = rates(samples)
    if frame["misses"].notna().any():
        say(frame, part)
        panels = frame["order"].nunique()
        part.picture(
            "misses",
            picture(frame),
            "Misses of 1000 accesses, by page size and working set.",
            height=3.2,
            narrow_height=0.6 + 2.1 * panels,
        )
    else:
        part.say("The TD had no performance counters here: there are times, and no misses.")
    frame = frame.assign(working_set=frame["working_set"] / 2**20)
    part.table(
        "rates",
        frame,
        "Of all accesses.",
        keys=len(keys),
        titles={
            "working_set": "working set, MiB",
            "misses": "misses of 1000",
            "walk": "walk cycles an access",
            "ticks": "ticks an access",
            **{k: k.partition(".")[2] for k in keys if k.startswith("parameters.")},
        },
    )
