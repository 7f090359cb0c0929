"""Experiments on the platform: samples that can be repeated, the counts that DESIGN's table has, and what each policy comes to
under real conversions. What is exact about workloads and policies: tests/unit/test_policies.c."""

import json
import re
import subprocess

import pytest

from conftest import BUILD, PROMPT, ROOT, Septum

LIMIT_S = 300
LIST_NAME = "conversions.txt"
LIST = """\
# Pools, bounce buffers of an odd number, a driver.
0      1e00000   128K  shared
2      1e20000   128K  shared
4      1e40000   128K  shared
20     2201000   2044K shared
400    2645000   16K   shared
420    2645000   16K   private touch
800    2645000   16K   shared
820    2645000   16K   private touch
1200   2640000   64K   touch
"""
WORKLOADS = ["workload=boot policy=ready settle=120000", "workload=pending policy=scan settle=200",
             "workload=attest policy=hot times=3 settle=100", "workload=swiotlb policy=block times=1 settle=100",
             "workload=cold policy=ready settle=120000", "list=conversions.txt policy=ready settle=100",
             "workload=rate policy=ready slowest=10 fastest=20 readers=1 lasts=500"]
POLICIES = {"none": 300, "scan": 120000, "fault": 300, "block": 120000, "ready": 120000, "hot": 120000}  # ms to settle, at most


@pytest.fixture(scope="module")
def machine(tmp_path_factory):
    """One boot for all: the console's CPU, two for vCPUs that work, one for a reader or for the policy."""
    file = tmp_path_factory.mktemp("list") / LIST_NAME
    file.write_text(LIST)
    septum = Septum("--smp", "4", "--file", str(file), timeout=1500)
    try:
        septum.wait_for_prompt()
        septum.good("tdx init", LIMIT_S)
        yield septum
    finally:
        septum.stop()


def samples_of(machine, line):
    """The samples of one experiment; its last line says how many there should be."""
    machine.send(line + "\r")
    machine.child.expect_exact(PROMPT, timeout=LIMIT_S)
    lines = [json.loads(m) for m in re.findall(r"^@(\{.*\})\s*$", machine.child.before, re.MULTILINE)]
    assert lines[-1]["ok"], lines[-1]
    assert lines[-1]["samples"] == len(lines) - 1
    return lines[:-1]


@pytest.fixture(scope="module")
def run(machine):
    """The samples of all runs, by the line that was typed."""
    lines = ["experiment convert rounds=1"]
    lines += [f"experiment policies workload=back4k policy={name} regions=2 rounds=2 settle={ms}" for name, ms in POLICIES.items()]
    lines += [f"experiment policies regions=1 rounds=1 {keys}" for keys in WORKLOADS]
    return {line: samples_of(machine, line) for line in lines}


def of(run, experiment, **members):
    """All samples with these members."""
    return [s for samples in run.values() for s in samples
            if s["experiment"] == experiment and all(s.get(key) == value for key, value in members.items())]


def test_each_sample_says_where_it_comes_from(run):
    assert len(of(run, "convert")) == 15
    for samples in run.values():
        assert samples and [s["sample"] for s in samples] == list(range(len(samples)))
        for s in samples:
            assert s["platform"] == "SeptumSimTDX" and s["seed"] == 1 and s["parameters"]


@pytest.mark.parametrize("step, pages, seamcalls, tracks", [
    ("to shared", 1, 4 + 2, 2), ("to shared", 8, 4 + 16, 2), ("to shared", 64, 4 + 128, 2), ("to shared", 511, 4 + 1022, 2),
    ("to shared", 512, 3, 1), ("to private", 1, 1, 0), ("to private", 511, 511, 0), ("to private", 512, 1, 0),
    ("merge", 1, 3, 1), ("merge", 511, 3, 1), ("merge", 512, 0, 0)])
def test_conversions_take_the_least_calls(run, step, pages, seamcalls, tracks):
    found = of(run, "convert", step=step, pages=pages)
    assert [(s["seamcalls"], s["tracks"]) for s in found] == [(seamcalls, tracks)]


TIMES = {"tsc", "pauses", "walks", "platform", "profile", "lab"}  # what is another machine's, or time


def in_lab(line):
    """The samples of the same experiment in a host process (tools/lab)."""
    done = subprocess.run([str(ROOT / "tools" / "lab"), "--build", str(BUILD), "--cpus", "4", *line.split()[1:]], check=True,
                          stdout=subprocess.PIPE, timeout=LIMIT_S, text=True)
    found = [json.loads(line[1:]) for line in done.stdout.splitlines() if line.startswith("@{")]
    assert all(s["platform"] == "SeptumLabTDX" for s in found if "sample" in s)
    return [s for s in found if "sample" in s]


def test_the_lab_counts_the_same(run):
    """All that is no time is equal, member by member."""
    line = next(line for line in run if " convert " in line)
    found = [[{k: v for k, v in s.items() if k not in TIMES} for s in samples] for samples in (in_lab(line), run[line])]
    assert found[0] == found[1] and len(found[0]) == 15


@pytest.mark.parametrize("policy", ["none", "fault"])
def test_the_lab_counts_conversions_under_a_policy_the_same(run, policy):
    """Of what depends on no tick: how often the reader comes by does."""
    line = next(line for line in run if f"workload=back4k policy={policy} " in line)
    exact = ("conversions", "large", "settled", "did", "seamcalls_for", "seamcalls", "flushes", "tracks", "kicks", "ipis", "faults",
             "retries", "calls")
    assert [[s[k] for k in exact] for s in in_lab(line)] == [[s[k] for k in exact] for s in run[line]]


def test_policies_under_the_same_work(run):
    """None and `fault` leave the regions small; the others make them large again, `hot` by touches alone."""
    for name in POLICIES:
        samples = of(run, "policies", workload="back4k", policy=name)
        assert [s["settled"] for s in samples] == [name not in ("none", "fault")] * 2, (name, samples)
        assert sum(s["did"]["candidates"] for s in samples) == 4
    for name in ("none", "fault"):
        samples = of(run, "policies", workload="back4k", policy=name)
        assert [s["seamcalls_for"]["work"] for s in samples] == [2 * (6 + 1), 2 * (3 + 1)]
        assert [s["did"]["blocked"] + s["did"]["merged"] for s in samples] == [0, 0]
    assert sum(s["did"]["touched"] for s in of(run, "policies", workload="back4k", policy="hot")) >= 4


def test_workloads(run):
    """Each on the real payload, as far as no thread has a say in it."""
    boot = of(run, "policies", workload="boot")
    assert [s["phase"] for s in boot] == ["eager 2m", "eager 4k", "lazy 2m", "lazy 4k"]
    assert [s["calls"]["aug"] for s in boot] == [1, 512, 1, 512]
    assert all(s["settled"] for s in boot)
    cold, = of(run, "policies", workload="cold")
    assert cold["unused"] == cold["did"]["merged"] == 1
    shared = of(run, "policies", workload="attest") + of(run, "policies", workload="swiotlb")
    assert [s["conversions"] for s in shared] == [6, 10]
    replayed, = of(run, "policies", workload="list")
    assert (replayed["list"], replayed["conversions"], replayed["whole"]) == (LIST_NAME, 8, 3)


def test_a_pending_page_is_refused(run):
    """511 accepted and 1 pending; then it is accepted. Blocks that the reader touches first end in UNBLOCK too."""
    pending, accepted = of(run, "policies", workload="pending")
    assert pending["did"]["refused"] >= 1 and pending["did"]["merged"] == 0 and not pending["settled"]
    assert pending["did"]["in_vain"] >= pending["did"]["refused"] - 1  # one may be on its way while they are read
    assert pending["calls"]["aug"] == 1
    assert accepted["settled"] and accepted["did"]["merged"] == 1


def test_readers_are_paused_by_merges(run):
    """A vCPU that reads all the time is kicked for each TRACK, and its pauses are told."""
    rates = of(run, "policies", workload="rate")
    assert [s["rate"] for s in rates] == [10, 20] and all(s["vcpus"] == 3 for s in rates)
    assert all(s["ipis"] >= 1 and s["pauses"]["count"] >= 1 and s["pauses"]["longest_at_most"] > 0 for s in rates)
    assert all(len(s["share"]["ms"]) == len(s["share"]["large"]) <= 32 for s in rates)


def test_interrupt_ends_an_experiment_and_its_td(machine):
    before = machine.good("mem")["free_bytes"]
    machine.send("experiment policies workload=back4k regions=2 rounds=1000 policy=none readers=1 settle=1500\r")
    machine.child.expect(r"back4k under none: round 1 of 1000, 0 of 2 regions large, \d+ s\r?\n", timeout=LIMIT_S)
    machine.child.expect_exact('"sample":0', timeout=LIMIT_S)
    machine.send("\x03")
    machine.child.expect(r'@(\{[^\n]*"ok":false[^\n]*\})', timeout=LIMIT_S)
    answer = json.loads(machine.child.match.group(1))
    assert "stopped by ^C" in answer["error"] and answer["samples"] >= 1
    machine.child.expect_exact(PROMPT, timeout=LIMIT_S)
    assert machine.good("mem")["free_bytes"] == before
    assert "td create" in machine.bad("policy")["error"]
