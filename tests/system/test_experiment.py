"""Experiments on the platform: samples that can be repeated, the counts that DESIGN's table has, and what each policy comes to."""

import json
import subprocess

import pytest

from conftest import BUILD, ROOT, Septum, run_script

LIMIT_S = 300


POLICIES = {"none": 300, "scan": 120000, "fault": 300, "block": 120000, "ready": 120000, "hot": 120000}  # ms to settle, at most


@pytest.fixture(scope="module")
def run():
    """(status, samples, answers, text) of both experiments, on a console's CPU, two for vCPUs and a free one."""
    lines = ["tdx init", "experiment convert rounds=1"]
    lines += [f"experiment policies policy={name} regions=2 rounds=2 settle={ms}" for name, ms in POLICIES.items()]
    status, out, records = run_script("\n".join(lines) + "\n", "--smp", "4", limit=1200)
    samples = [r for r in records if r["cmd"] == "experiment" and "sample" in r]
    return status, samples, [r for r in records if r["cmd"] == "experiment" and "samples" in r], out


def test_each_sample_says_where_it_comes_from(run):
    status, samples, answers, out = run
    assert status == 0, out[-2000:]
    assert all(a["ok"] for a in answers)
    assert [a["samples"] for a in answers] == [15] + [2] * len(POLICIES)
    for s in samples:
        assert s["platform"] == "SeptumSimTDX" and s["seed"] == 1 and s["parameters"]


@pytest.mark.parametrize("step, pages, seamcalls, tracks", [
    ("to shared", 1, 4 + 2, 2), ("to shared", 8, 4 + 16, 2), ("to shared", 64, 4 + 128, 2), ("to shared", 511, 4 + 1022, 2),
    ("to shared", 512, 3, 1), ("to private", 1, 1, 0), ("to private", 511, 511, 0), ("to private", 512, 1, 0),
    ("merge", 1, 3, 1), ("merge", 511, 3, 1), ("merge", 512, 0, 0)])
def test_conversions_take_the_least_calls(run, step, pages, seamcalls, tracks):
    found = [s for s in run[1] if s["experiment"] == "convert" and s["step"] == step and s["pages"] == pages]
    assert [(s["seamcalls"], s["tracks"]) for s in found] == [(seamcalls, tracks)]


def test_the_lab_counts_the_same(run):
    """The same experiment in a host process (tools/lab): all that is no time is equal, member by member."""
    done = subprocess.run([str(ROOT / "tools" / "lab"), "--build", str(BUILD), "convert", "rounds=1"], stdout=subprocess.PIPE,
                          timeout=LIMIT_S, check=True, text=True)
    found = [json.loads(line[1:]) for line in done.stdout.splitlines() if line.startswith("@{")]
    lab = [s for s in found if "sample" in s]
    assert [s.pop("platform") for s in lab] == ["SeptumLabTDX"] * 15 and [s.pop("profile") for s in lab] == ["server"] * 15
    times = {"tsc", "pauses", "platform"}
    platform = [{k: v for k, v in s.items() if k not in times} for s in run[1] if s["experiment"] == "convert"]
    assert [{k: v for k, v in s.items() if k not in times} for s in lab] == platform


def test_policies_under_the_same_work(run):
    """None and `fault` leave the regions small; the others make them large again, `hot` by touches alone."""
    by_policy = {}
    for s in run[1]:
        if s["experiment"] == "policies":
            by_policy.setdefault(s["policy"], []).append(s)
    assert list(by_policy) == list(POLICIES)
    for name, samples in by_policy.items():
        assert [s["settled"] for s in samples] == [name not in ("none", "fault")] * 2, (name, samples)
        assert samples[-1]["so_far"]["candidates"] == 4
    assert by_policy["none"][-1]["so_far"]["blocked"] == by_policy["none"][-1]["so_far"]["merged"] == 0
    assert by_policy["hot"][-1]["so_far"]["touched"] >= 4


@pytest.mark.parametrize("line, words", [
    ("experiment", "too few words"),
    ("experiment foo", "no experiment 'foo'; `help experiment` lists them"),
    ("experiment convert settle=5", "experiment convert has no settle"),
    ("experiment convert policy=hot", "experiment convert has no policy"),
    ("experiment convert rounds=0", "rounds=0: a number from 1 to 100000 is needed"),
    ("experiment policies policy=fast", "no policy 'fast'; there are none, scan, fault, block, ready, hot"),
    ("experiment policies colour=1", "experiment policies has no colour; `help experiment` lists what each takes"),
])
def test_refusals(septum, line, words):
    assert words in septum.bad(line)["error"]


def test_interrupt_ends_an_experiment_and_its_td():
    machine = Septum("--smp", "3", timeout=600)
    try:
        machine.wait_for_prompt()
        machine.good("tdx init", LIMIT_S)
        before = machine.good("mem")["free_bytes"]
        machine.send("experiment policies regions=4 rounds=1000 policy=ready\r")
        machine.child.expect_exact('"sample":1', timeout=LIMIT_S)
        machine.child.expect_exact("\n", timeout=LIMIT_S)
        machine.send("\x03")
        machine.child.expect(r'@(\{[^\n]*"ok":false[^\n]*\})', timeout=LIMIT_S)
        answer = json.loads(machine.child.match.group(1))
        assert "stopped by ^C" in answer["error"] and answer["samples"] >= 2
        machine.child.expect_exact("septum> ", timeout=LIMIT_S)
        assert machine.good("mem")["free_bytes"] == before
        assert "td create" in machine.bad("policy")["error"]
    finally:
        machine.stop()
