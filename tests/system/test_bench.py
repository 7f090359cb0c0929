"""`make bench` measures what it says: one short run has all rows, and numbers that can be."""
import json
import subprocess

from conftest import BUILD, ROOT

PLATFORM = {"rdtsc", "cpuid", "rdmsr", "null_seamcall", "sys_rd", "sept_rd", "vp_enter", "vcpu_enter", "tdcall", "fault_4k",
            "fault_2m", "block", "track", "unblock", "demote", "promote", "reset_4k", "reset_2m"}
MODEL = {"null", "sept_rd", "block_track_unblock", "aug_block_track_remove", "demote_promote", "enter_and_vmcall", "vp_info",
         "accept_again"}
ROUNDS = 3


def test_bench_has_all_rows(tmp_path):
    out = tmp_path / "bench.json"
    done = subprocess.run([str(ROOT / "tests" / "bench" / "bench"), "--build", str(BUILD), "--json", str(out), "--rounds",
                           str(ROUNDS), "--no-count"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, check=False, timeout=300)
    assert done.returncode == 0, done.stdout.decode()[-2000:]
    found = json.loads(out.read_text(encoding="ascii"))
    rows = {row["name"]: row for row in found["platform"]}
    assert rows.keys() == PLATFORM
    assert {row["name"] for row in found["model"]} == MODEL
    for row in found["platform"] + found["model"]:
        assert len(row["samples"]) == ROUNDS
        assert 0 < row["min"] <= row["median"] <= row["max"], row
    # Work that contains other work takes longer than it, whatever the machine is doing.
    assert rows["rdtsc"]["min"] < rows["cpuid"]["min"] < rows["vp_enter"]["min"] < rows["fault_4k"]["min"]
    assert rows["reset_4k"]["min"] < rows["reset_2m"]["min"]
