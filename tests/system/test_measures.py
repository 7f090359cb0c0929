"""The experiments that measure the module, the TLB and the VMM's own ways: one short run of each, exact where counts are; and in
the lab what takes other machines, or many events in one order."""
import json
import subprocess
import time

import pytest

from conftest import BUILD, ROOT, Septum, run_script

RUNS = ["latency rounds=2 lives=1", "tlb least=4 most=8 count=2000", "fragment rounds=1 count=500",
        "dirty policy=ready regions=2 passes=1 writes=100 settle=60000", "contention vcpus=2 regions=1 rounds=2 kick=1",
        "zerostep rounds=2 many=20 ms=100 policy=ready"]
TLB_4K = 1024  # entries of the simulated TLB for 4K pages: as much as 4 MiB


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """(status, samples by experiment, text): a console's CPU, two for vCPUs and a free one."""
    config = tmp_path_factory.mktemp("measures") / "simtdx.cfg"
    config.write_text(f"tlb_4k = {TLB_4K}\ntlb_2m = 32\n", encoding="ascii")
    lines = ["tdx init", "mem"] + [f"experiment {line}" for line in RUNS] + ["mem"]
    status, out, records = run_script("\n".join(lines) + "\n", "--smp", "4", "--sim-config", str(config), limit=600)
    samples = {}
    for r in records:
        if r["cmd"] == "experiment" and "sample" in r:
            samples.setdefault(r["experiment"], []).append(r)
    return status, samples, records, out


def test_all_end_well_and_leave_nothing(run):
    status, samples, records, out = run
    assert status == 0, out[-2000:]
    answers = [r for r in records if r["cmd"] == "experiment" and "samples" in r]
    assert [a["samples"] for a in answers] == [len(samples[line.split()[0]]) for line in RUNS]
    for sample in [s for found in samples.values() for s in found]:
        assert sample["platform"] == "SeptumSimTDX" and sample["seed"] == 1 and sample["parameters"]
    before, after = [r["free_bytes"] for r in records if r["cmd"] == "mem"]
    assert before == after


# --- latency ----------------------------------------------------------------------------------------------------------

# With rounds=2 and lives=1: what each round asks for, by the shortest sequences. In a round the region is shared and taken back
# whole; so are 8 pages, then one, then the other 511.
CALLS = {("TDH.MEM.RANGE.BLOCK", "4k"): 2 * (8 + 1 + 1 + 511) + 512, ("TDH.MEM.PAGE.REMOVE", "4k"): 2 * (8 + 1 + 511),
         ("TDH.MEM.PAGE.REMOVE", "2m"): 2, ("TDH.MEM.PAGE.DEMOTE", "2m"): 2 * 2, ("TDH.MEM.SEPT.REMOVE", "2m"): 2,
         ("TDH.MEM.PAGE.RELOCATE", "4k"): 512, ("TDH.MEM.RANGE.UNBLOCK", "2m"): 2, ("TDH.MEM.RANGE.UNBLOCK", "4k"): 2,
         ("TDH.MEM.SEPT.RD", "4k"): 2,
         ("TDH.MNG.CREATE", "none"): 2, ("TDH.MNG.KEY.FREEID", "none"): 2}


def test_latency_counts_each_call(run):
    found = {(s["leaf"], s["level"]): s for s in run[1]["latency"]}
    assert len(found) == len(run[1]["latency"])
    assert {key: found[key]["count"] for key in CALLS} == CALLS
    for s in found.values():
        assert sum(s["histogram"].values()) == s["count"]
        assert s["least"] <= s["median_at_most"] <= s["p99_at_most"] <= s["longest"] <= s["total"] or s["count"] == 0
        assert s["least"] * s["count"] <= s["total"] <= s["longest"] * s["count"]


# --- tlb --------------------------------------------------------------------------------------------------------------

def test_tlb_misses_by_size_of_the_page(run):
    """A working set of twice the TLB's reach misses half of the time at random; by 2M pages nothing does."""
    found = {(s["page"], s["order"], s["working_set"] >> 20): s for s in run[1]["tlb"]}
    assert found.keys() == {(page, order, mib) for page in ("4k", "2m") for order in ("sequential", "strided", "random", "zipf")
                            for mib in (4, 8)}
    for (page, order, mib), s in found.items():
        assert s["counted"] is True and s["accesses"] == 2000 and s["faults"] == 0
        assert s["misses"] == s["walks"][page] == sum(s["walks"][size] for size in ("4k", "2m", "1g"))
        assert s["walks"]["cycles"] == s["misses"] * (4 if page == "4k" else 3)
        if page == "2m":
            assert s["misses"] < 10, s
    assert found["4k", "sequential", 8]["misses"] == 2000 * 64 // 4096 + 1
    assert 800 < found["4k", "random", 8]["misses"] < 1200
    assert found["4k", "random", 4]["misses"] < 200
    assert found["4k", "zipf", 8]["misses"] < found["4k", "random", 8]["misses"]


# --- fragment ---------------------------------------------------------------------------------------------------------

def test_gathering_takes_the_least_calls(run):
    found = {(s["step"], s["away"]): s for s in run[1]["fragment"]}
    assert found.keys() == {(step, away) for step in ("left", "gather", "gathered") for away in (1, 8, 64, 256, 512)}
    for away in (1, 8, 64, 256, 512):
        gather = found["gather", away]
        assert (gather["seamcalls"], gather["tracks"], gather["calls"]["relocate"]) == (2 * away + 4, 2, away)
        assert gather["calls"]["promote"] == 1
        for step in ("left", "gathered"):
            s = found[step, away]
            assert (s["accesses"], s["seamcalls"], s["faults"]) == (500, 0, 0)
            assert s["walks"]["1g"] == s["walks"]["2m" if step == "left" else "4k"] == 0


# --- dirty ------------------------------------------------------------------------------------------------------------

def test_dirty_log_misses_nothing(run):
    """Each page that was touched costs a fault, an UNBLOCK, and a BLOCK when the log is asked; reads are told in vain."""
    found = run[1]["dirty"]
    assert [(s["step"], s.get("order")) for s in found] == [
        ("on", None), ("touch", "random"), ("get", "random"), ("touch", "zipf"), ("get", "zipf"), ("off", None), ("recover", None)]
    on, off, recover = found[0], found[-2], found[-1]
    assert on["calls"]["demote"] >= 2 and on["calls"]["block"] >= 2 * 512 and off["calls"]["unblock"] >= 2 * 512
    for touch, get in ((found[1], found[2]), (found[3], found[4])):
        assert get["missed"] == 0 and 0 < get["false"] <= 32
        assert get["told"] == get["written"] + get["false"] and 50 < get["written"] <= 100
        assert touch["faults"] >= get["told"] and touch["calls"]["unblock"] == touch["faults"]
        assert get["calls"]["block"] == get["told"] + get["elsewhere"] and get["tracks"] in (1, 2)
    assert recover["settled"] is True and recover["large"] == recover["whole"] and recover["calls"]["promote"] >= 2


# --- contention -------------------------------------------------------------------------------------------------------

def test_vcpus_side_by_side(run):
    """Each vCPU accepts a region at 4K, a fault a page; then one shares 64 pages and takes them back, twice, while another reads."""
    found = {(s["phase"], s["vcpus"]): s for s in run[1]["contention"]}
    assert list(found) == [("fault", 1), ("convert", 1), ("fault", 2), ("convert", 2)]
    for (phase, vcpus), s in found.items():
        assert s["calls"]["aug"] == (512 * vcpus if phase == "fault" else 2 * 64)
        if phase == "fault":
            assert s["faults"] >= 512 * vcpus
        else:
            assert s["calls"]["remove"] == 2 * 64 and s["kicks"] >= 4
        assert s["busy"]["operand"] + s["busy"]["epoch"] <= s["retries"]


# --- zerostep ---------------------------------------------------------------------------------------------------------

def test_zero_step_filter(run):
    """Behind the first fault six entries run the TD; from then on none does until the page is unblocked. No policy gets there."""
    found = run[1]["zerostep"]
    assert [(s["step"], s.get("round")) for s in found] == [("alone", 0), ("beside", 0), ("alone", 1), ("beside", 1), ("policy", None)]
    for s in found[:4]:
        if s["step"] == "alone":
            assert (s["entered"], s["ran"], s["ran_first"], s["refused"]) == (12, 6, 6, 6)
            assert s["ran_ticks"]["count"] == s["refused_ticks"]["count"] == 6
        else:
            assert (s["entered"], s["ran"], s["refused"]) == (20, 0, 20)
    assert found[4]["refused"] == 0 and found[4]["conversions"] >= 1


# --- ^C ---------------------------------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def machine():
    septum = Septum("--smp", "3", timeout=900)
    try:
        septum.wait_for_prompt()
        septum.good("tdx init", 300)
        yield septum
    finally:
        septum.stop()


@pytest.mark.parametrize("line", [
    "latency rounds=100000", "tlb count=1000000000", "dirty passes=10000 policy=hot", "contention rounds=100000", "fragment count=1000000000",
    "zerostep rounds=100000"])
def test_interrupt_ends_each_and_its_td(machine, line):
    before = machine.good("mem")["free_bytes"]
    machine.send(f"experiment {line}\r")
    machine.child.expect(f"{line.split()[0]}: [^\r\n]*\\?", timeout=300)  # its question
    time.sleep(1)
    machine.send("\x03")
    machine.child.expect(r'@\{[^\n]*"ok":false,"error":"stopped by \^C after \d+ samples"', timeout=300)
    machine.child.expect_exact("septum> ", timeout=300)
    assert machine.good("mem")["free_bytes"] == before
    assert "td create" in machine.bad("policy")["error"]


# --- in the lab -------------------------------------------------------------------------------------------------------

def lab(*words):
    """(status, samples, standard error)."""
    done = subprocess.run([str(ROOT / "tools" / "lab"), "--build", str(BUILD), *words], capture_output=True, text=True, timeout=600,
                          check=False)
    answers = [json.loads(line[1:]) for line in done.stdout.splitlines() if line.startswith("@{")]
    return done.returncode, [a for a in answers if "sample" in a], done.stderr


@pytest.mark.parametrize("words, error", [
    ("contention --cpus 1", "this machine has one CPU: contention takes one for the console and one for each vCPU"),
    ("contention vcpus=4 --cpus 3", "vcpus=4 takes 5 CPUs, one of them the console's: this machine has 3"),
    ("policies readers=2 --cpus 4", "readers=2: this machine has CPUs for 1 beside the work's"),
    ("contention policy=none batch=3", "policy none has no batch"),
    ("contention policy=scan batch=1", "batch=1: policy scan takes a number from 2 to 512"),
    ("tlb least=64 most=16", "least=64 is more than most=16"),
    ("tlb stride=12", "stride=12: a multiple of 8 is needed"),
    ("tlb least=8192 most=8192 --memory 4G", "out of memory"),
    ("dirty policy=fast", "no policy 'fast'; there are none, scan, fault, block, ready, hot"),
    ("zerostep entries=0", "entries=0: a number from 1 to 1000000 is needed"),
])
def test_what_is_refused(words, error):
    status, _, said = lab(*words.split())
    assert status == 1 and error in said and said.count("\n") == 1


def test_dirty_logging_call_by_call():
    """One vCPU that writes and does not read: a fault and an UNBLOCK a page, a BLOCK when the log is asked; nothing told in vain."""
    status, samples, said = lab("dirty", "policy=ready", "regions=2", "passes=2", "reads=0", "--cpus", "2")
    assert status == 0, said
    for touch, get in zip(samples[1:9:2], samples[2:9:2]):
        assert (touch["step"], get["step"], get["missed"], get["false"], get["elsewhere"]) == ("touch", "get", 0, 0, 0)
        assert touch["faults"] == touch["seamcalls"] == touch["calls"]["unblock"] == get["written"] == get["told"]
        assert (get["calls"]["block"], get["seamcalls"], get["tracks"]) == (get["told"], get["told"] + 1, 1)
    assert samples[-1]["settled"] is True and samples[-1]["calls"]["promote"] == 2


def test_kicks_at_each_track_or_once():
    """Held out from the first TRACK to the last, a reader stays out for less long than if it runs in between: it would fault, and
    wait for the whole operation."""
    held, kicked = (lab("contention", "rounds=4", f"kick={kick}", "--cpus", "5")[1] for kick in (0, 1))
    for a, b in zip(held, kicked):
        assert (a["phase"], a["vcpus"]) == (b["phase"], b["vcpus"])
        if a["phase"] == "fault":
            assert a["calls"]["aug"] == b["calls"]["aug"] == 2 * 512 * a["vcpus"]
        else:
            assert a["kicks"] < b["kicks"]
        if a["phase"] == "convert" and a["vcpus"] > 1:
            assert 0 < a["pauses"]["longest_at_most"] < b["pauses"]["longest_at_most"]


def test_the_filter_takes_the_tree():
    """While the vCPU is entered in vain, VP.ENTER and BLOCK of other memory meet; no policy brings a vCPU there. One CPU has nobody
    to meet."""
    status, samples, said = lab("zerostep", "rounds=1", "ms=100", "--cpus", "3")
    assert status == 0, said
    alone, beside, policies = samples[0], samples[1], samples[2:]
    assert (alone["ran_first"], alone["refused"], beside["ran"], beside["refused"]) == (6, 6, 0, 200)
    assert beside["busy"] > 0 and beside["operations"] > 0
    assert [s["policy"] for s in policies] == ["none", "scan", "fault", "block", "ready", "hot"]
    assert all(s["refused"] == 0 and s["conversions"] > 10 for s in policies)
    assert all(s["did"]["merged"] > 0 for s in policies if s["policy"] in ("block", "ready", "hot"))
    status, samples, said = lab("zerostep", "rounds=1", "ms=20", "--cpus", "1")
    assert status == 0 and [s["step"] for s in samples] == ["alone"] + 6 * ["policy"], said
