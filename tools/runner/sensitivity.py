"""The experiment `sensitivity` of the lab: `policies` again and again, with each assumed number of the profile a quarter, half, twice
and four times as large, one at a time and all together. Where does the ranking of the policies change, and where not?

A sample is one run: `scaled` (a number of the profile, "all", or "none" for the profile as it is), `factor`, `metrics` by policy,
and `swapped`: for each metric the pairs of policies whose order is the other way round than with the profile as it is.
"""
import concurrent.futures
import json
import os
import re

from runner import lab, profile

FACTORS = (0.25, 0.5, 2, 4)
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


def swapped(before, after):
    """Pairs [a, b]: a was better than b, and is worse now."""
    pairs = []
    for a, value in sorted(before.items()):
        pairs += [[a, b] for b, other in sorted(before.items()) if value < other and after[a] > after[b]]
    return pairs


def swaps(before, after):
    """{metric: pairs}, a workload's name before the metric's where there are several."""
    out = {}
    for metric, by_workload in before.items():
        for workload, values in by_workload.items():
            name = metric if len(by_workload) == 1 else f"{workload} {metric}"
            out[name] = swapped(values, after[metric][workload])
    return out


def plain(metrics):
    """For JSON, which has no infinity: null is never."""
    return {metric: {workload: {policy: None if value == float("inf") else value for policy, value in values.items()}
                     for workload, values in by_workload.items()} for metric, by_workload in metrics.items()}


def one_run(options, words, numbers):
    run = lab.Run(options.build, numbers, lab.script_for(["policies", *words]), options.cpus, options.memory, options.file)
    samples = [json.loads(line[1:]) for line in run if lab.is_sample(line)]
    if run.status:
        raise lab.CannotRun(run.error)
    return samples


class Report:
    """Prints the samples as they come, in the plan's order, and sums up."""

    def __init__(self, name, show):
        self.name = name
        self.show = show
        self.base = None
        self.samples = 0
        self.changed = {}  # metric: {pair: {number: factors}}

    def add(self, label, factor, samples):
        metrics = measure(samples)
        self.base = self.base or metrics
        found = swaps(self.base, metrics)
        first = samples[0]
        self.show("@" + json.dumps({
            "cmd": "experiment", "ok": True, "experiment": NAME, "platform": first["platform"], "seed": first["seed"],
            "sample": self.samples, "scaled": label, "factor": factor, "metrics": plain(metrics), "swapped": found,
            "parameters": first["parameters"], "profile": self.name}, separators=(",", ":")))
        self.samples += 1
        for metric, pairs in found.items():
            places = self.changed.setdefault(metric, {})
            for a, b in pairs:
                places.setdefault(f"{a} before {b}", {}).setdefault(label, []).append(factor)

    def finish(self):
        for metric, pairs in self.changed.items():
            if not pairs:
                self.show(f"{metric}: the order of the policies is the same with every number scaled")
            for pair, numbers in pairs.items():
                where = "; ".join(f"{label} x {', '.join(f'{f:g}' for f in factors)}" for label, factors in numbers.items())
                self.show(f"{metric}: {pair} is the other way round with {where}")
        self.show("@" + json.dumps({"cmd": "experiment", "ok": True, "experiment": NAME, "samples": self.samples},
                                   separators=(",", ":")))


def run(options, words, show):
    """`words` are those of `policies`. CannotRun, BadProfile."""
    numbers, keys = profile.read(options.profile), profile.read_keys()
    if any(re.match("policy=", word) for word in words):
        raise lab.CannotRun("sensitivity ranks all policies, and takes no policy=")
    report = Report(profile.name_of(options.profile), show)
    runs = list(plan(keys, numbers))
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        try:
            for (label, factor, _), samples in zip(runs, pool.map(lambda r: one_run(options, words, r[2]), runs)):
                report.add(label, factor, samples)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    report.finish()
