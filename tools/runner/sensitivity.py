"""The experiment `sensitivity` of the lab: `policies` again and again, with each assumed number of the profile a quarter, half, twice
and four times as large, one at a time and all together. Where does the ranking of the policies change, and where not?

Each run is made with several seeds, which also say how the work falls between the timer's interrupts. One policy stands before another where it is better with every one of them; the others are as good as
equal. A sample is one run: `scaled` (a number of the profile, "all", or "none" for the profile as it is), `factor`, `metrics` by
policy, the means over the seeds, and `swapped`: for each metric the pairs of policies that stand the other way round than with
the profile as it is.
"""
import concurrent.futures
import itertools
import json
import os
import statistics

from runner import lab, profile

FACTORS = (0.25, 0.5, 2, 4)
SEEDS = 5
SEEDS_MAX = 100
NAME = "sensitivity"


def _till_merged(sample):
    """From ready to large, of all regions; a policy that does not get them all there is slower than those that do."""
    return sample["till_merged_us"]["total"] if sample["settled"] else float("inf")


# What is summed over a policy's samples, least is best; p99 is the worst of them.
METRICS = {
    "seamcall_ticks": (sum, lambda s: s["lab"]["seamcall_ticks"]),
    "pauses_total": (sum, lambda s: s["pauses"]["total"]),
    "pauses_p99": (max, lambda s: s["pauses"]["p99_at_most"]),
    "till_merged_us": (sum, _till_merged),
}


def scaled(keys, numbers, label, factor):
    """The profile's numbers with one of them, or with all assumed ones, times `factor`, as far as its key allows."""
    out = {}
    for name, number in numbers.items():
        key = keys[name.split(".")[0]]
        if number.is_assumed and label in (name, "all"):
            out[name] = min(max(round(number.value * factor), key.least), key.most)
        else:
            out[name] = number.value
    return out


def plan(keys, numbers):
    """(label, factor, numbers) of each run; the first is the profile as it is. A number that stays the same is left out."""
    base = {name: number.value for name, number in numbers.items()}
    yield "none", 1, base
    for label in ["all", *(name for name, number in numbers.items() if number.is_assumed)]:
        for factor in FACTORS:
            values = scaled(keys, numbers, label, factor)
            if values != base:
                yield label, factor, values


def key_of(sample):
    """Workloads are ranked apart."""
    return sample["policy"], sample["workload"]


def measure(samples):
    """{metric: {workload: {policy: value}}}"""
    grouped = {}
    for sample in samples:
        grouped.setdefault(key_of(sample), []).append(sample)
    found = {metric: {} for metric in METRICS}
    for (policy, workload), group in grouped.items():
        for metric, (join, value) in METRICS.items():
            found[metric].setdefault(workload, {})[policy] = join(value(s) for s in group)
    return found


def stands_before(runs, a, b):
    """Is policy `a` better than `b` in all of them?"""
    return all(values[a] < values[b] for values in runs)


def pairs(policies):
    return [(a, b) for a in sorted(policies) for b in sorted(policies) if a != b]


def each_order(by_seed):
    """(metric, [values by policy of each seed]), a workload's name before the metric's where there are several."""
    for metric, by_workload in by_seed[0].items():
        for workload in by_workload:
            name = metric if len(by_workload) == 1 else f"{workload} {metric}"
            yield name, [metrics[metric][workload] for metrics in by_seed]


def swaps(before, after):
    """{metric: pairs [a, b]}: a stands before b, and behind it now."""
    now = dict(each_order(after))
    return {name: [[a, b] for a, b in pairs(runs[0]) if stands_before(runs, a, b) and stands_before(now[name], b, a)]
            for name, runs in each_order(before)}


def equals(by_seed):
    """{metric: pairs [a, b]} that stand in no order."""
    return {name: [[a, b] for a, b in pairs(runs[0]) if a < b and not stands_before(runs, a, b) and not stands_before(runs, b, a)]
            for name, runs in each_order(by_seed)}


def means(by_seed):
    return {metric: {workload: {policy: statistics.fmean(m[metric][workload][policy] for m in by_seed) for policy in values}
                     for workload, values in by_workload.items()} for metric, by_workload in by_seed[0].items()}


def plain(metrics):
    """For JSON, which has no infinity: null is never."""
    return {metric: {workload: {policy: None if value == float("inf") else value for policy, value in values.items()}
                     for workload, values in by_workload.items()} for metric, by_workload in metrics.items()}


def one_run(options, words, seed, numbers):
    run = lab.Run(options.build, numbers, lab.script_for(["policies", *words, f"seed={seed}"]), options.cpus, options.memory,
                  options.file, jitter=seed + 1)
    samples = [json.loads(line[1:]) for line in run if lab.is_sample(line)]
    if run.status:
        raise lab.CannotRun(run.error)
    return samples


def take_words(words):
    """(words for `policies`, seeds). `seeds` says how many from `seed` on."""
    keys = dict(word.split("=", 1) for word in words if "=" in word)
    first, count = keys.get("seed", "1"), keys.get("seeds", str(SEEDS))
    if "policy" in keys:
        raise lab.CannotRun("sensitivity ranks all policies, and takes no policy=")
    if not first.isdecimal() or not count.isdecimal() or not 1 <= int(count) <= SEEDS_MAX:
        raise lab.CannotRun(f"seed={first} seeds={count}: a number is needed, and one from 1 to {SEEDS_MAX}")
    rest = [word for word in words if word.split("=", 1)[0] not in ("seed", "seeds")]
    return rest, [int(first) + n for n in range(int(count))]


class Report:
    """Prints the samples as they come, in the plan's order, and sums up."""

    def __init__(self, name, show):
        self.name = name
        self.show = show
        self.base = None
        self.samples = 0
        self.changed = {}  # metric: {pair: {number: factors}}

    def add(self, label, factor, runs):
        """`runs`: the samples of each seed."""
        by_seed = [measure(samples) for samples in runs]
        self.base = self.base or by_seed
        found = swaps(self.base, by_seed)
        first = runs[0][0]
        self.show("@" + json.dumps({
            "cmd": "experiment", "ok": True, "experiment": NAME, "platform": first["platform"], "seed": first["seed"],
            "sample": self.samples, "seeds": len(runs), "scaled": label, "factor": factor, "metrics": plain(means(by_seed)),
            "swapped": found, "parameters": first["parameters"], "profile": self.name}, separators=(",", ":")))
        self.samples += 1
        for metric, swapped in found.items():
            places = self.changed.setdefault(metric, {})
            for a, b in swapped:
                places.setdefault(f"{a} before {b}", {}).setdefault(label, []).append(factor)

    def finish(self):
        for metric, tied in equals(self.base).items():
            if tied:
                self.show(f"{metric}: as good as equal are {', '.join(f'{a} and {b}' for a, b in tied)}")
        for metric, changed in self.changed.items():
            if not changed:
                self.show(f"{metric}: the order of the policies is the same with every number scaled")
            for pair, numbers in changed.items():
                where = "; ".join(f"{label} x {', '.join(f'{f:g}' for f in factors)}" for label, factors in numbers.items())
                self.show(f"{metric}: {pair} is the other way round with {where}")
        self.show("@" + json.dumps({"cmd": "experiment", "ok": True, "experiment": NAME, "samples": self.samples},
                                   separators=(",", ":")))


def run(options, words, show):
    """`words` are those of `policies`, and seeds=N. CannotRun, BadProfile."""
    numbers, keys = profile.read(options.profile), profile.read_keys()
    rest, seeds = take_words(words)
    report = Report(profile.name_of(options.profile), show)
    runs = list(plan(keys, numbers))
    tasks = [(rest, seed, values) for _, _, values in runs for seed in seeds]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        try:
            done = pool.map(lambda task: one_run(options, *task), tasks)
            for label, factor, _ in runs:
                report.add(label, factor, list(itertools.islice(done, len(seeds))))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    report.finish()
