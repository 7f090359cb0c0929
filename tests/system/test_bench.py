"""`make bench` measures what it says: one short run has all rows, and numbers that can be."""
import json
import subprocess

from conftest import BUILD, ROOT

PLATFORM = {"rdtsc", "cpuid", "rdmsr", "null_seamcall", "sys_rd", "sept_rd", "vp_enter", "vcpu_enter", "tdcall", "fault_4k",
            "fault_2m", "block", "track", "unblock", "demote", "promote", "reset_4k", "reset_2m"}
MODEL = {"null", "sept_rd", "block_track_unblock", "aug_block_track_remove", "demote_promote", "enter_and_vmcall", "vp_info",
         "accept_again"}
ROUNDS = 3
OPERATION_MEMBERS = {"op", "vcpus", "seamcalls", "seamcalls_bound", "seamcalls_linux", "tracks", "kick_rounds", "kick_rounds_bound",
                     "ipis", "ipis_bound", "flushes", "exits", "instructions", "longest_pause"}
# What users are told that there is: all rows of docs/tdp-mmu.md's table, what is usually asked, both plans where there are two,
# what a module with more features takes.
OPERATIONS = """
fault_4k fault_4k_elsewhere fault_2m map_2m map_2m_as_4k map_2m_as_4k_time map_2m_as_4k_before_finalize map_1g_at_2m map_1g_at_4k
map_1g_at_4k_time convert_1_of_2m convert_8_of_2m convert_511_of_2m convert_512_of_2m convert_8_of_2m_blocked convert_8_of_4k
convert_8_of_4k_table_blocked convert_512_of_4k convert_512_of_4k_in_two_states convert_1_of_1g convert_8_of_1g convert_511_of_1g
convert_512_of_1g convert_3_regions_of_1g zap_1g zap_1g_of_2m convert_odd_range back_1 back_8 back_511 back_512
back_512_over_empty_table back_512_as_4k back_512_as_4k_time split_2m split_1g merge_1 merge_64 merge_512 merge_1g_of_2m
merge_1g_of_3_at_4k merge_1g_of_4k split_one_merge_another merge_scattered_512 relocate_512 tear_down_1g_of_2m
tear_down_1g_with_4k non_blocking_split_2m non_blocking_convert_8_of_2m non_blocking_convert_8_of_1g
non_blocking_convert_3_regions_of_1g non_blocking_map_2m_as_4k non_blocking_map_1g_at_4k split_2m_beside_an_nmi
uninterrupted_split_2m_beside_an_nmi uninterrupted_convert_8_of_1g_beside_an_nmi""".split()
ABOVE_BOUND = {"convert_512_of_4k_in_two_states", "split_2m_beside_an_nmi"}
# From docs/tdp-mmu.md: SEAMCALLs, TRACKs, rounds of kicks.
LEAST = {"convert_8_of_2m": (20, 2, 1), "convert_512_of_4k": (6, 2, 1), "convert_8_of_1g": (23, 3, 1), "merge_64": (129, 1, 1),
         "merge_1g_of_4k": (1028, 2, 1), "relocate_512": (1025, 1, 1), "map_2m_as_4k": (4, 1, 1), "back_512_as_4k": (7, 2, 1),
         "split_one_merge_another": (8, 2, 1), "zap_1g_of_2m": (6, 2, 1), "non_blocking_convert_8_of_2m": (18, 1, 1)}


def test_bench_has_all_rows(tmp_path):
    out = tmp_path / "bench.json"
    done = subprocess.run([str(ROOT / "tests" / "bench" / "bench"), "--build", str(BUILD), "--json", str(out), "--rounds",
                           str(ROUNDS), "--no-count"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, check=False, timeout=300)
    assert done.returncode == 0, done.stdout.decode()[-2000:]
    found = json.loads(out.read_text(encoding="ascii"))
    rows = {row["name"]: row for row in found if row.get("where") == "platform"}
    model = {row["name"]: row for row in found if row.get("where") == "model"}
    assert rows.keys() == PLATFORM
    assert model.keys() == MODEL
    for row in [*rows.values(), *model.values()]:
        assert len(row["samples"]) == ROUNDS
        assert 0 < row["min"] <= row["median"] <= row["max"], row
    # Work that contains other work takes longer than it, whatever the machine is doing.
    assert rows["rdtsc"]["min"] < rows["cpuid"]["min"] < rows["vp_enter"]["min"] < rows["fault_4k"]["min"]
    assert rows["reset_4k"]["min"] < rows["reset_2m"]["min"]
    check_operations([row for row in found if "op" in row])


def check_operations(rows):
    found = {(row["op"], row["vcpus"]): row for row in rows}
    assert len(found) == len(rows)
    assert found.keys() == {(op, vcpus) for op in OPERATIONS for vcpus in (1, 4)}
    for row in rows:
        assert OPERATION_MEMBERS <= row.keys()
        at_bound = all(row[name] == row[f"{name}_bound"] for name in ("seamcalls", "tracks", "kick_rounds", "ipis"))
        assert at_bound == (row["ratio"] == 1 and row["kick_rounds"] == row["kick_rounds_bound"])
        assert at_bound or (row["op"] in ABOVE_BOUND and row["why"]), row
        assert row["exits"] >= row["ipis"] == row["kick_rounds"] * row["vcpus"]
    for op, (seamcalls, tracks, kicks) in LEAST.items():
        for vcpus in (1, 4):
            row = found[op, vcpus]
            assert (row["seamcalls"], row["tracks"], row["kick_rounds"], row["ipis"]) == (seamcalls, tracks, kicks, kicks * vcpus)
    # Fewest calls, and the plan that stops no vCPU.
    for calls, time in (("map_2m_as_4k", "map_2m_as_4k_time"), ("map_1g_at_4k", "map_1g_at_4k_time")):
        assert found[calls, 4]["seamcalls"] < found[time, 4]["seamcalls"]
        assert found[calls, 4]["ipis"] == 4 and found[time, 4]["ipis"] == 0
    # Linux: split, then BLOCK, TRACK, kick and REMOVE for each page.
    linux = found["convert_8_of_2m", 4]
    assert (linux["seamcalls_linux"], linux["kick_rounds_linux"], linux["ipis_linux"]) == (3 + 3 * 8, 9, 36)
