"""A TD end to end: its memory through every conversion, split and merge, checked by the data in it."""
import json
import re
import subprocess

import pytest

from conftest import BUILD, ROOT, RUN

M = 1 << 20
G = 1 << 30


@pytest.fixture(scope="module")
def td(septum):
    septum.free_before = septum.good("mem")["free_bytes"]
    septum.good("td create mem=1200M vcpus=1 payload=probe level=1g")
    septum.good("td run")
    yield septum


def walk(td, gpa):
    answer = td.good(f"walk {gpa:x}")
    assert answer["agree"] is True, answer
    return answer


def check_agree(td):
    sept = td.good("sept")
    assert sept["agree"] is True
    return sept


def test_accept_maps_2m_leaves(td):
    td.good("probe accept 0 16M 2m")
    for gpa in range(0, 16 * M, 2 * M):
        entry = walk(td, gpa + 0x5000)
        assert (entry["level"], entry["state"]) == ("2m", "mapped")
    td.good("probe fill 0 16M seed=3")
    assert td.good("probe verify 0 16M seed=3")["bad_bytes"] == 0


def test_verify_finds_what_is_wrong(td):
    td.good("probe fill 3000 4K seed=4")
    answer = td.bad("probe verify 0 16M seed=3")
    assert answer["bad_bytes"] > 4000
    assert "3000" in answer.text + answer["error"]
    td.good("probe fill 3000 4K seed=3")
    assert td.good("probe verify 0 16M seed=3")["bad_bytes"] == 0


def test_one_page_to_shared_splits_its_leaf_only(td):
    plan = td.good("plan convert 200000 4K shared")
    assert plan["seamcalls"] == 6  # 4 + 2n: block, track, demote; block, track, remove
    td.good("stats reset")
    td.good("probe convert 200000 4K shared")
    calls = td.good("stats")["seamcalls"]
    assert calls.get("MEM.PAGE.DEMOTE", calls.get("mem_page_demote", 1)) == 1
    assert walk(td, 0x200000)["state"] == "shared"
    assert walk(td, 0x201000)["level"] == "4k"
    assert walk(td, 0x1ff000)["level"] == "2m"
    assert walk(td, 0x400000)["level"] == "2m"
    assert td.good("probe verify 201000 0x1ff000 seed=3")["bad_bytes"] == 0


def test_back_and_merged_with_its_data(td):
    td.bad("merge 200000 2m")
    td.good("probe convert 200000 4K private")
    td.good("probe fill 200000 4K seed=3")
    merge = td.good("merge 200000 2m")
    assert merge["seamcalls"] == 3  # block, track, promote
    entry = walk(td, 0x2FF000)
    assert (entry["level"], entry["state"]) == ("2m", "mapped")
    assert td.good("probe verify 0 16M seed=3")["bad_bytes"] == 0


def test_odd_range_splits_its_ends_and_takes_the_middle_whole(td):
    td.good("probe convert 3fd000 0x405000 shared")
    assert walk(td, 0x3FC000)["level"] == "4k"
    assert walk(td, 0x802000)["level"] == "4k"
    for gpa in (0x3FD000, 0x400000, 0x600000, 0x801000):
        assert walk(td, gpa)["state"] == "shared"
    assert check_agree(td)["shared_bytes"] >= 0x405000
    td.good("probe convert 3fd000 0x405000 private")
    assert td.good("probe verify 0 0x3fd000 seed=3")["bad_bytes"] == 0
    assert td.good("probe verify 802000 0x7fe000 seed=3")["bad_bytes"] == 0
    td.good("probe fill 3fd000 0x405000 seed=3")
    for gpa in (0x200000, 0x800000):
        td.good(f"merge {gpa:x} 2m")
    assert walk(td, 0x3FD000)["level"] == "2m"
    assert td.good("probe verify 0 16M seed=3")["bad_bytes"] == 0


def test_whole_region_goes_the_short_way(td):
    assert td.good("plan convert a00000 2M shared")["seamcalls"] == 3  # block, track, remove
    td.good("probe convert a00000 2M shared")
    td.good("probe convert a00000 2M private")
    td.good("probe fill a00000 2M seed=3")
    assert walk(td, 0xA00000)["level"] == "2m"


def test_memory_that_was_shared_comes_back_as_new(td):
    td.good("probe fill c00000 4K seed=9")
    td.good("probe convert c00000 4K shared")
    td.good("probe convert c00000 4K private")
    td.bad("probe verify c00000 4K seed=9")
    td.good("probe fill c00000 4K seed=3")
    td.good("merge c00000 2m")


def test_split_by_hand_and_merge_keep_data(td):
    td.good("split e00000 2m")
    assert walk(td, 0xE00000)["level"] == "4k"
    assert td.good("probe verify 0 16M seed=3")["bad_bytes"] == 0
    td.good("merge e00000 2m")
    assert walk(td, 0xE00000)["level"] == "2m"
    assert td.good("probe verify 0 16M seed=3")["bad_bytes"] == 0


def test_blocked_leaf_and_back(td):
    td.good("block 600000 2m")
    assert walk(td, 0x600000)["state"] == "blocked"
    td.good("unblock 600000 2m")
    assert walk(td, 0x600000)["state"] == "mapped"
    assert td.good("probe verify 600000 2M seed=3")["bad_bytes"] == 0


def test_a_gib_becomes_one_page_and_falls_apart_again(td):
    td.good("probe accept 0 1G 2m", 120)
    td.good("probe fill 3ff00000 1M seed=3")
    merge = td.good("merge 0 1g")
    assert merge["seamcalls"] == 3
    entry = walk(td, 0x12345000)
    assert (entry["level"], entry["state"]) == ("1g", "mapped")
    assert td.good("probe verify 0 16M seed=3")["bad_bytes"] == 0
    assert td.good("plan convert 20000000 4K shared")["seamcalls"] == 9  # 7 + 2n
    td.good("probe convert 20000000 4K shared")
    assert walk(td, 0x20001000)["level"] == "4k"
    assert walk(td, 0x20200000)["level"] == "2m"
    assert td.good("probe verify 0 16M seed=3")["bad_bytes"] == 0
    assert td.good("probe verify 3ff00000 1M seed=3")["bad_bytes"] == 0


def test_touch_in_every_order(td):
    for order in ("seq", "random", "zipf"):
        td.good(f"probe touch 0 16M stride=4K order={order} count=5000 write=1 seed=3")
    assert td.good("probe verify 0 16M seed=3")["bad_bytes"] == 0


def test_destroy_returns_every_page(td):
    td.good("td destroy", 120)
    assert td.good("mem")["free_bytes"] == td.free_before


def test_a_second_td_after_the_first(td):
    td.good("td create mem=64M")
    td.good("td run")
    td.good("probe fill 0 8M seed=1")
    assert td.good("probe verify 0 8M seed=1")["bad_bytes"] == 0
    td.good("td destroy")
    assert td.good("mem")["free_bytes"] == td.free_before


def test_scattered_memory_is_gathered_by_a_merge(septum):
    free = septum.good("mem")["free_bytes"]
    septum.good("td create mem=64M backing=scatter")
    septum.good("td run")
    septum.good("probe accept 0 4M 2m")
    septum.good("probe fill 0 4M seed=5")
    assert walk(septum, 0x200000)["level"] == "4k"
    merge = septum.good("merge 200000 2m")
    assert merge["seamcalls"] == 2 * 512 + 4  # 512 pages blocked, tracked, relocated; then block, track, promote
    entry = walk(septum, 0x200000)
    assert (entry["level"], entry["state"]) == ("2m", "mapped")
    assert septum.good("probe verify 0 4M seed=5")["bad_bytes"] == 0
    septum.good("td destroy")
    assert septum.good("mem")["free_bytes"] == free


def test_scattered_memory_is_relocated(septum):
    septum.good("td create mem=64M backing=scatter")
    septum.good("td run")
    septum.good("probe accept 0 4M 2m")
    septum.good("probe fill 0 4M seed=6")
    planned = septum.good("plan relocate 0 4M")
    done = septum.good("relocate 0 4M")
    assert planned["seamcalls"] == done["seamcalls"] > 2 * 1000  # all but what the payload's start has merged
    assert done["tracks"] == 1 and done["tsc"] > 0
    assert septum.good("merge 200000 2m")["seamcalls"] == 3
    assert "in its place" in septum.bad("relocate 0 4M")["error"]
    assert septum.good("probe verify 0 4M seed=6")["bad_bytes"] == 0
    septum.good("td destroy")


def test_demo_script():
    done = subprocess.run([str(RUN), "--build", str(BUILD), "--timeout", "300", "--script", str(ROOT / "tools/demo.septum")],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, timeout=330)
    text = done.stdout.decode("latin-1")
    records = [json.loads(match) for match in re.findall(r"^@(\{.*\})\s*$", text, re.MULTILINE)]
    assert done.returncode == 0, text[-3000:]
    assert all(record["ok"] for record in records)
    verifies = [r for r in records if r["cmd"] == "probe verify" and list(r) != ["cmd", "ok", "job"]]  # not those just begun
    assert verifies[-1]["bytes"] == G and all(record["bad_bytes"] == 0 for record in verifies)
    free = [record["free_bytes"] for record in records if record["cmd"] == "mem"]
    assert len(free) == 2 and free[0] == free[1]
    assert [record["level"] for record in records if record["cmd"] == "walk"][-1] == "1g"
