"""The experiment `policies`: costs of each policy under each workload."""
import pandas

from experiments.analysis import policies_pictures as pictures
from experiments.analysis.common import groups, in_order, varying
from experiments.words import count, listed, number

TITLE = "Merge policies"
QUESTION = "What does each merge policy make of a guest's conversions, and what does it cost?"
READING = (
    "Calls for merging are the policy's own and those of touches of what it had blocked. Calls beyond none's are what the whole round "
    "took more than without a policy: what is merged has to be split again. Added pauses are those of a vCPU because of its memory "
    "beyond the ones that it has under none. With more than one vCPU counts depend a little on how they meet; ticks and milliseconds "
    "are those of the machine."
)
NEEDS = (
    "policy",
    "workload",
    "seamcalls_for.policy",
    "seamcalls_for.touches",
    "pauses.count",
    "pauses.total",
    "large",
    "whole",
    "ms",
)
WORKLOADS = ("back4k", "boot", "swiotlb", "attest", "cold", "pending", "rate", "giant", "list")
# What one piece of work is, beside the parameters that it was done with; how long a policy may take is no part of it.
WORK = ("workload", "phase", "rate", "list", "vcpus")
NAMED = ("workload", "phase", "rate", "list")
NOT_WORK = tuple(f"parameters.{name}" for name in ("settle", "step", "rounds", "slowest", "fastest", "lasts", "fill"))
TITLES = {
    "rounds": "rounds",
    "large": "large at the end, %",
    "ms": "ms until all is large",
    "till": "ms until a region is merged, at most",
    "calls": "calls for merging, a round",
    "beyond": "calls beyond none's",
    "merged": "merges a round",
    "per_merge": "calls a merge",
    "tracks": "TRACKs for merging",
    "kicks": "rounds of kicks",
    "pauses": "pauses",
    "added": "added pauses",
    "pause_ticks": "pauses, ticks",
    "longest": "longest pause, ticks at most",
    "misses": "TLB misses of 1000 reads",
    "in_vain": "blocks in vain",
    "refused": "PROMOTEs refused",
    "unused": "merged, never used",
}


def mean(group, member):
    return group[member].mean() if member in group and group[member].notna().any() else None


def row(group):
    """What one policy did in one piece of work, in a round."""
    settled = group[group["large"] >= group["whole"]]
    calls = group["seamcalls_for.policy"] + group["seamcalls_for.touches"]
    merges = group["did.merged"].sum() if "did.merged" in group else 0
    till = mean(group, "till_merged_us.median_at_most") if merges else None
    reads = group["reads.count"].sum() if "reads.count" in group else 0
    return {
        "rounds": len(group),
        "large": 100 * (group["large"] / group["whole"]).mean(),
        "ms": settled["ms"].median() if len(settled) == len(group) else None,
        "till": till / 1000 if till is not None else None,
        "calls": calls.mean(),
        "beyond": group["seamcalls"].mean() if "seamcalls" in group else None,
        "merged": merges / len(group),
        "per_merge": calls.sum() / merges if merges else None,
        "tracks": mean(group, "did.tracks"),
        "kicks": mean(group, "kicks"),
        "pauses": group["pauses.count"].mean(),
        "pause_ticks": group["pauses.total"].mean(),
        "longest": group["pauses.longest_at_most"].max() if "pauses.longest_at_most" in group else None,
        "misses": 1000 * group["reads.misses"].sum() / reads if reads and "reads.misses" in group else None,
        "in_vain": mean(group, "did.in_vain"),
        "refused": mean(group, "did.refused"),
        "unused": mean(group, "unused"),
    }


def with_parameters(samples):
    """The samples with each policy named by its parameters, too, where it ran with more than one choice of them."""
    columns = [c for c in samples.columns if c.startswith("policy_parameters.")]
    if not columns:
        return samples

    def label(group):
        differ = [c for c in columns if group[c].nunique(dropna=False) > 1]
        words = [group[c].map(lambda value, c=c: f" {c.partition('.')[2]}={number(value)}") for c in differ]
        return sum(words[1:], words[0]) if words else group["policy"].map(lambda _: "")

    more = pandas.concat([label(group) for _, group in samples.groupby("policy", sort=False)])
    return samples.assign(policy=samples["policy"] + more)


def works_of(samples):
    """{column: value that goes without saying} of what tells pieces of work apart."""
    told = [c for c in WORK if c in samples and (c == "workload" or samples[c].nunique(dropna=False) > 1)]
    parameters = varying(samples, NOT_WORK)
    if "parameters.readers" in parameters and "vcpus" in told:
        told.remove("vcpus")  # the readers are the difference
    usual = {c: None for c in told if c in NAMED}
    return {**usual, **{c: samples[c].mode().iloc[0] for c in [*told, *parameters] if c not in NAMED}}


def name_of(works, row_):
    """`boot, lazy 4k, readers 2` of a row's piece of work."""
    words = []
    for column, usual in works.items():
        value = row_[column]
        if not pandas.isna(value) and value != usual:
            what = "" if column in ("workload", "phase") else column.rpartition(".")[2] + " "
            words.append(what + (value if isinstance(value, str) else number(value)))
    return ", ".join(words)


def costs(samples, works):
    """A row for each piece of work and policy, with the work's name in `work`."""
    rows = [
        {**dict(zip([*works, "policy"], names)), **row(group)} for names, group in groups(samples, [*works, "policy"])
    ]
    frame = pandas.DataFrame(rows)
    order = {
        "workload": {name: i for i, name in enumerate(in_order(frame["workload"].unique(), WORKLOADS))},
        "policy": {name: i for i, name in enumerate(in_order(frame["policy"].unique()))},
    }
    frame = frame.sort_values(
        [*works, "policy"], key=lambda c: c.map(order[c.name]) if c.name in order else c, kind="stable"
    )
    frame.insert(0, "work", [name_of(works, row_) for _, row_ in frame.iterrows()])
    none = frame[frame["policy"] == "none"].set_index("work")
    idle, frame["beyond"] = none["pauses"], frame["beyond"] - frame["work"].map(none["beyond"])
    frame.insert(
        list(frame.columns).index("pauses") + 1, "added", (frame["pauses"] - frame["work"].map(idle)).clip(lower=0)
    )
    return frame.reset_index(drop=True)


def summary(frame):
    """A row for each policy over all pieces of work; of what is for each merge the median over those in which it merged."""
    rows = []
    for policy in in_order(frame["policy"].unique()):
        of = frame[frame["policy"] == policy]
        busy = of[of["merged"] > 0]
        rows.append(
            {
                "policy": policy,
                "works": len(of),
                "large": int((of["large"] >= 100).sum()),
                "merges": (of["merged"] * of["rounds"]).sum(),
                "calls": busy["per_merge"].median(),
                "added": (busy["added"] / busy["merged"]).median(),
                "in_vain": (busy["in_vain"] / busy["merged"]).median(),
                "refused": (of["refused"] * of["rounds"]).sum(),
            }
        )
    return pandas.DataFrame(rows)


def say_policy(of):
    text = f"{of['policy']}: all regions large at the end in {of['large']} of {count(of['works'], 'piece')} of work"
    if of["merges"] == 0:
        return text + ", without a merge."
    text += f"; {number(of['calls'])} calls"
    if not pandas.isna(of["added"]):
        text += f" and {number(of['added'])} added pauses"
    return text + f" a merge{f', {number(of.in_vain)} blocks in vain' if of['in_vain'] > 0 else ''}."


def say(table, part):
    busy = table[table["merges"] > 0]
    if len(busy) > 1:
        few = busy[busy["calls"] == busy["calls"].min()]
        text = f"Over {count(int(table['works'].max()), 'piece')} of work the fewest calls a merge are those of "
        text += f"{listed(few['policy'])} ({number(few['calls'].iloc[0])})"
        if busy["added"].notna().all():
            calm = busy[busy["added"] == busy["added"].min()]
            text += f", the fewest added pauses those of {listed(calm['policy'])} ({number(calm['added'].iloc[0])})"
        part.say(text + ", by the median of the pieces.")
    for _, of in table.iterrows():
        part.say(say_policy(of))


def draw_all(samples, frame, works, part):
    groups = pictures.shares(samples, lambda row_: name_of({c: usual for c, usual in works.items() if c != "rate"}, row_))
    if groups:
        part.picture(
            "share",
            pictures.share(groups),
            "Percent of the regions that are mapped by large pages while the first round goes on; lines are drawn a "
            "little apart.",
            height=0.6 + 2.3 * -(-len(groups) // min(3, len(groups))),
            narrow_height=0.8 + 2.2 * len(groups),
        )
    plain = frame[frame["work"].isin(WORKLOADS)]
    first = frame[frame["work"] == (plain if len(plain) else frame)["work"].iloc[0]]
    part.picture(
        "cost",
        pictures.costs(first),
        f"What each policy came to and what it took: {first['work'].iloc[0]}.",
        height=0.8 + 0.32 * len(first),
        narrow_height=1.6 + 0.6 * len(first),
    )
    names = frame["work"].nunique()
    if names > 1:
        part.picture(
            "works",
            pictures.matrix(frame),
            "Each policy under each piece of work; the darker, the more in its row.",
            height=1 + 0.3 * names,
            narrow_height=1.2 + 3 * (0.5 + 0.26 * names),
        )
    rates = pictures.rates(samples)
    if rates is not None:
        part.picture(
            "rate",
            pictures.rate(rates),
            "Conversions of pages at random: the share of large pages in the steady state, and costs of each.",
            height=3.2,
            narrow_height=7,
        )


def analyse(samples, part):
    samples = with_parameters(samples)
    works = works_of(samples)
    frame = costs(samples, works)
    table = summary(frame)
    say(table, part)
    draw_all(samples, frame, works, part)
    part.table(
        "summary",
        table,
        "Over all pieces of work; what is for each merge is the median over those in which the policy merged.",
        titles={
            "works": "pieces of work",
            "large": "all large at the end",
            "calls": "calls a merge",
            "added": "added pauses a merge",
            "in_vain": "blocks in vain a merge",
            "refused": "PROMOTEs refused",
        },
    )
    shown = frame.drop(columns=[c for c in [*works, *frame.columns] if c in works or frame[c].isna().all()])
    part.table("cost", shown, "Means of the rounds, each figure for one round.", keys=2, titles=TITLES)
