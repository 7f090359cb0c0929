"""The experiment `dirty`."""
import pandas

from experiments import draw
from experiments.analysis.common import groups, in_order, varying
from experiments.words import listed, number

TITLE = "Dirty logging and recovery"
QUESTION = "What do dirty logging, its passes and the recovery behind it cost, and how many pages does it tell in vain?"
READING = (
    "Logging is by BLOCK and UNBLOCK: a read of a page unblocks it, too, and tells it in vain. Counts are exact for "
    "one vCPU; ticks and "
    "milliseconds are those of the machine."
)
NEEDS = ("step", "policy", "seamcalls", "tracks", "faults", "pauses.count", "pauses.total", "tsc")
STEPS = ("on", "first touches", "first get", "later touches", "later gets", "off")
COSTS = ("seamcalls", "tracks", "kicks", "faults", "pauses.count", "pauses.total", "tsc")
TITLES = {
    "seamcalls": "SEAMCALLs",
    "tracks": "TRACKs",
    "kicks": "rounds of kicks",
    "pauses.count": "pauses",
    "pauses.total": "pauses, ticks",
    "tsc": "ticks",
}
NOT_WORK = ("parameters.settle", "parameters.step", "parameters.passes")


def step_of(row):
    """`touch` and `get` of the first pass apart from those of later ones."""
    if row["step"] not in ("touch", "get"):
        return row["step"]
    noun = "touch" if row["step"] == "touch" else "get"
    first = row["pass"] == 0 and row["order"] == "random"
    return (
        f"first {'touches' if noun == 'touch' else noun}"
        if first
        else f"later {'touches' if noun == 'touch' else 'gets'}"
    )


def steps(samples, works):
    """What each step costs; the policies have no part in it."""
    logged = samples[samples["step"] != "recover"]
    logged = logged.assign(what=logged.apply(step_of, axis="columns"))
    frame = logged.groupby([*works, "what"])[[c for c in COSTS if c in logged]].mean().reset_index()
    place = {name: at for at, name in enumerate(STEPS)}
    return frame.sort_values(
        [*works, "what"], key=lambda c: c.map(place) if c.name == "what" else c, kind="stable"
    ).reset_index(drop=True)


def recovery(samples, works):
    rows = []
    of = samples[samples["step"] == "recover"]
    for names, group in groups(of, [*works, "policy"]):
        settled = group[group["large"] >= group["whole"]]
        rows.append(
            {
                **dict(zip([*works, "policy"], names)),
                "large": 100 * (group["large"] / group["whole"]).mean(),
                "ms": settled["ms"].median() if len(settled) == len(group) else None,
                **{c: group[c].mean() for c in COSTS if c in group},
            }
        )
    frame = pandas.DataFrame(rows)
    place = {name: at for at, name in enumerate(in_order(frame["policy"].unique()))} if rows else {}
    return (
        frame.sort_values(
            [*works, "policy"], key=lambda c: c.map(place) if c.name == "policy" else c, kind="stable"
        ).reset_index(drop=True)
        if rows
        else frame
    )


def told(samples):
    of = samples[samples["step"] == "get"]
    if "told" not in of or of["told"].isna().all():
        return None
    return of.groupby("order")[["written", "told", "missed", "false"]].sum().reset_index()


def picture(frame, column, panels):
    """Bars of a table's rows, a panel for each of (column, title)."""

    def make(figure, narrow):
        names = frame[column].tolist()
        chosen = draw.colours(names) if column == "policy" else {name: draw.COLOURS[0] for name in names}
        axes_of = figure.subplots(*((2, 2) if narrow else (1, 4)), sharey=True).flatten()
        for at, (axes, (member, title)) in enumerate(zip(axes_of, panels)):
            draw.bars(axes, dict(zip(names, frame[member])), title, chosen)
            axes.tick_params(axis="y", labelcolor=draw.INK, length=0)
            if at and not narrow:
                axes.spines["left"].set_visible(False)

    return make


def say(table, back, log, part):
    by = table.groupby("what")["seamcalls"].mean()
    if {"on", "later touches", "later gets"} <= set(by.index):
        part.say(
            f"Switching the log on took {number(by['on'])} SEAMCALLs, the touches of a later pass "
            f"{number(by['later touches'])}, asking for it "
            f"{number(by['later gets'])}."
        )
    if log is not None:
        part.say(
            f"Of {number(log['written'].sum())} pages that were written the log missed "
            f"{number(log['missed'].sum())}; it told "
            f"{number(log['false'].sum())} in vain, because they were read."
        )
    if not back.empty:
        done = back[back["large"] >= 100]
        text = (
            f"Afterwards all pages became large again under {listed(done['policy'])}"
            if len(done)
            else "No policy made all pages large again"
        )
        if len(done) > 1:
            few = done.loc[done["seamcalls"].idxmin()]
            text += f", with the fewest calls under {few['policy']} ({number(few['seamcalls'])})"
        part.say(text + ".")


def analyse(samples, part):
    works = varying(samples, NOT_WORK)
    table, back, log = steps(samples, works), recovery(samples, works), told(samples)
    say(table, back, log, part)
    if not works:
        part.picture(
            "steps",
            picture(
                table,
                "what",
                (
                    ("seamcalls", "SEAMCALLs"),
                    ("faults", "faults"),
                    ("pauses.count", "pauses"),
                    ("pauses.total", "pauses, ticks"),
                ),
            ),
            "What the steps of logging cost.",
            height=2.8,
            narrow_height=5.2,
        )
        part.picture(
            "recovery",
            picture(
                back,
                "policy",
                (
                    ("large", "large again, %"),
                    ("seamcalls", "SEAMCALLs"),
                    ("pauses.count", "pauses"),
                    ("pauses.total", "pauses, ticks"),
                ),
            ),
            "What the way back took under each policy.",
            height=2.8,
            narrow_height=5.2,
        )
    titles = {**TITLES, **{c: c.partition(".")[2] for c in works}}
    part.table(
        "steps",
        table,
        "Means of the passes; the policies have no part in this.",
        keys=len(works) + 1,
        titles={**titles, "what": "step"},
    )
    if not back.empty:
        part.table(
            "recovery",
            back,
            "From the end of logging until all pages are large again.",
            keys=len(works) + 1,
            titles={**titles, "large": "large again, %"},
        )
    if log is not None:
        part.table("log", log, "Pages over all passes.", titles={"false": "told in vain"})
