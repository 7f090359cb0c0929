"""The experiments that measure the module, the TLB and the VMM's own ways: one short run of each, exact where counts are."""

import pytest

from conftest import run_script

RUNS = ["latency rounds=2 lives=1", "tlb least=4 most=8 count=2000", "fragment rounds=1 count=500",
        "dirty policy=ready regions=2 passes=1 writes=100 settle=60000"]
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
