"""Many CPUs: starting them, vCPUs at different work beside the console, jobs, kicks, what a broken CPU comes to."""
import json
import re
import time

import pytest

from conftest import Septum, run_script, wait_until

M = 1 << 20
LIMIT_S = 300


@pytest.fixture(scope="module")
def machine():
    """Four CPUs in two packages, a TD with three vCPUs that has accepted 48 MiB."""
    septum = Septum("--smp", "4", timeout=1200)
    try:
        septum.wait_for_prompt()
        septum.good("tdx init", LIMIT_S)
        septum.good("td create mem=256M vcpus=3", LIMIT_S)
        septum.good("td run", LIMIT_S)
        for vcpu in range(3):
            septum.good(f"probe accept {vcpu << 26:x} 16M 2m cpu={vcpu} &")
        septum.good("wait all", LIMIT_S)
        yield septum
    finally:
        septum.stop()


def jobs_until(septum, command):
    """The answers of a `wait` by command, its own last."""
    septum.send(command + "\r")
    answers = []
    while not answers or answers[-1]["cmd"] != "wait":
        septum.child.expect(r"\n@(\{[^\r\n]*\})\r?(?=\n)", timeout=LIMIT_S)
        answers.append(json.loads(septum.child.match.group(1)))
    septum.child.expect_exact("septum> ", timeout=LIMIT_S)
    return answers


def test_all_cpus_are_there(machine):
    answer = machine.good("cpus")
    assert answer["used"] == 4 and answer["apic_ids"] == [0, 1, 2, 3]
    assert "failed" not in answer["states"]


def test_each_vcpu_has_a_cpu(machine):
    vcpus = machine.good("vcpu list")["vcpus"]
    assert [v["cpu"] for v in vcpus] == [1, 2, 3]
    assert all(v["state"] == "idle" and not v["inside"] for v in vcpus)


def test_different_work_at_once(machine):
    for vcpu in range(3):
        machine.good(f"probe fill {vcpu << 26:x} 16M seed={vcpu} cpu={vcpu} &")
    answers = jobs_until(machine, "wait all")
    assert [a["cmd"] for a in answers] == ["probe fill"] * 3 + ["wait"]
    assert answers[-1]["jobs"] == [a["job"] for a in answers[:-1]]
    assert all(a["ok"] and a["bytes"] == 16 * M for a in answers[:-1])


def test_one_converts_while_others_verify(machine):
    """Splits under a vCPU that reads the same region, in another page of it."""
    machine.good("stats reset")
    first = machine.good("probe verify 4000000 16M seed=1 cpu=1 &")["job"]
    second = machine.good("probe verify 8200000 14M seed=2 cpu=0 &")["job"]
    third = machine.good("probe convert 8000000 1M shared cpu=2 &")["job"]
    answers = jobs_until(machine, "wait all")
    assert [a.get("job") for a in answers[:-1]] == [first, second, third]
    assert all(a["ok"] for a in answers), answers
    assert machine.good("sept", LIMIT_S)["agree"] is True
    assert machine.good("walk 8000000")["state"] == "shared"
    machine.good("probe convert 8000000 1M private cpu=2", LIMIT_S)
    machine.good("merge 8000000 2m")
    assert machine.good("walk 8000000")["level"] == "2m"
    machine.good("probe verify 8100000 15M seed=2", LIMIT_S)


def test_kick_takes_a_vcpu_out(machine):
    job = machine.good("probe spin 4000 cpu=1 &")["job"]
    wait_until(lambda: machine.good("vcpu list")["vcpus"][1]["inside"], LIMIT_S)
    before = machine.good("vcpu list")["vcpus"][1]
    assert before["job"] == job and before["runs"]
    assert machine.good("vcpu kick 1")["inside"] is True
    wait_until(lambda: machine.good("vcpu list")["vcpus"][1]["exits"] > before["exits"], LIMIT_S)
    assert jobs_until(machine, f"wait {job}")[0]["ok"]


def test_tracking_kicks_only_those_inside(machine):
    machine.good("probe spin 3000 cpu=1 &")
    wait_until(lambda: machine.good("vcpu list")["vcpus"][1]["inside"], LIMIT_S)
    machine.good("split 8000000 2m")
    answer = machine.good("merge 8000000 2m")
    assert (answer["seamcalls"], answer["tracks"]) == (3, 1)
    assert answer["ipis"] <= 1  # of three vCPUs one is inside, unless its time is over
    machine.good("wait all", LIMIT_S)


def test_interrupt_takes_all_out(machine):
    for vcpu in range(3):
        machine.good(f"probe spin 1000000 cpu={vcpu} &")
    machine.send("wait all\r")
    time.sleep(1)
    machine.send("\x03")
    answers = []
    while not answers or answers[-1]["cmd"] != "wait":
        machine.child.expect(r"\n@(\{[^\r\n]*\})\r?(?=\n)", timeout=LIMIT_S)
        answers.append(json.loads(machine.child.match.group(1)))
    machine.child.expect_exact("septum> ", timeout=LIMIT_S)
    assert ["^C" in a["error"] for a in answers[:-1]] == [True] * 3
    assert answers[-1]["error"] == "3 of 3 jobs failed"


def test_refusals_change_nothing(machine):
    job = machine.good("probe spin 3000 cpu=2 &")["job"]
    assert machine.bad("probe spin 1 cpu=2")["error"] == f"vCPU 2 is at work: job {job}"
    assert "no job '99'" in machine.bad("wait 99")["error"]
    assert "no job 'x'" in machine.bad("wait x")["error"]
    assert "the TD has 3 vCPUs" in machine.bad("probe spin 1 cpu=3")["error"]
    assert "no vCPU '3'" in machine.bad("vcpu kick 3")["error"]
    assert "takes `&`" in machine.bad("sept &")["error"]
    assert "not the last word" in machine.bad("probe & spin 1")["error"]
    assert [entry["job"] for entry in machine.good("jobs")["jobs"]] == [job]
    machine.good("wait all", LIMIT_S)
    assert machine.good("jobs")["jobs"] == []


def test_paste_of_10_kb_while_a_command_runs(machine):
    """At full speed: no byte is lost, or the console says how many."""
    line = "version # " + "x" * 190
    machine.send("probe spin 2000\r")
    machine.send("".join(f"{line}\r" for _ in range(50)))
    assert machine.answer(LIMIT_S)["cmd"] == "probe spin"
    for _ in range(50):
        assert machine.answer(LIMIT_S)["cmd"] == "version"


def test_stop_and_destroy_take_working_vcpus_out(machine):
    machine.good("probe spin 1000000 cpu=0 &")
    assert machine.good("td stop", LIMIT_S)["state"] == "stopped"
    answers = jobs_until(machine, "wait all")
    assert "taken out of the TD" in answers[0]["error"]
    machine.send("td run\r")  # goes on with the work, which takes for ever
    time.sleep(1)
    machine.send("\x03")
    assert "^C" in machine.answer(LIMIT_S)["error"]
    answer = machine.good("td destroy", LIMIT_S)
    assert answer["free_bytes"] == answer["free_bytes_before"]
    assert "from 1 to 3" in machine.bad("td create vcpus=4")["error"]


def test_reset_takes_a_working_td_down_first(machine):
    """The last that this machine does: it ends at the prompt of its second start, with a module that is new."""
    assert machine.bad("reboot warm")["error"] == (
        "no reset: a warm reset keeps memory as it is, and the TDX module's tables (PAMT) are written under its own key: a plain "
        "`reboot` is a cold one; `reboot warm force` does it all the same")
    machine.good("td create mem=64M vcpus=2", LIMIT_S)
    machine.good("td run", LIMIT_S)
    machine.good("probe spin 3600000 cpu=1 &")
    machine.send("reboot\r")
    machine.child.expect_exact('the TD is torn down, its key is free\r\ncaches written back on 4 CPUs\r\n'
                               '@{"cmd":"reboot","ok":true,"td_destroyed":true,"cpus_flushed":4}', timeout=LIMIT_S)
    machine.wait_for_prompt()
    assert machine.good("tdx init", LIMIT_S)["hkids"] == 32


def test_two_packages_with_wide_apic_ids(tmp_path):
    """IDs that only x2APIC can name: starting, calling and kicking those CPUs, the TD on them."""
    knobs = tmp_path / "knobs"
    knobs.write_text("packages = 2\napic_id_base = 256\n")
    status, text, records = run_script("tdx init\ncpus\ntd create mem=64M vcpus=2\ntd run\nprobe fill 0 1M cpu=1\ntd destroy\n", "--smp", "3",
                                       "--sim-config", str(knobs))
    assert status == 0, text
    assert records[1]["apic_ids"] == [0, 257, 258] and records[1]["used"] == 3
    assert "3 CPUs in 2 packages" in text


def test_cpu_that_does_not_start_is_named(tmp_path):
    knobs = tmp_path / "knobs"
    knobs.write_text("cpu_dead = 2\n")
    status, text, records = run_script("-tdx init\ncpus\n", "--smp", "3", "--sim-config", str(knobs))
    assert status == 0, text
    assert "CPU 2 (APIC id 2) did not start within a second" in text
    assert records[1]["states"][2] == "failed" and records[1]["used"] == 2
    assert "TDH.SYS.CONFIG" in records[0]["error"]
    assert "; CPU 2 (APIC id 2) did not start" in records[0]["error"]


# Which call of which leaf answers what, from the start of the machine, and what the operations below make of it.
FAULTS = """
fault = 6 10 0x8000020000000001   # AUG for an ACCEPT: busy
fault = 6 20 0x8000020000000001
fault = 0 20 0x8000020000000000   # VP.ENTER: busy, twice
fault = 0 21 0x8000020000000000
fault = 7 1 0x8000020000000001    # the split: BLOCK busy, TRACK before its turn, DEMOTE interrupted
fault = 38 1 0x8000020100000000
fault = 15 1 0x8000000400000000
fault = 23 1 0xc0000b0900000001   # the first merge: PROMOTE refused, UNBLOCK busy in the undo
fault = 39 1 0x8000020000000001
fault = 7 4 0xc0000b0d00000001    # the second: BLOCK refused
fault = 23 2 0xc0000b0800000001   # the third: PROMOTE wants a TRACK
fault = 29 1 0x8000020000000092   # the first conversion: REMOVE busy, then refused
fault = 29 2 0xc000010000000001
fault = 41 3 0xc000010000000001   # the last: PAGE.WBINVD refused
"""


def test_faults_of_the_module_while_vcpus_run(tmp_path):
    """Each operation is done, or undone, or ends in front of a page that is lost; the vCPUs beside it do not notice."""
    knobs = tmp_path / "knobs"
    knobs.write_text(FAULTS)
    script = ("tdx init\ntd create mem=256M vcpus=3 level=2m\ntd run\n"
              "probe accept 0 32M 2m cpu=0\nprobe fill 0 16M seed=1 cpu=0\n"
              "probe accept 4000000 16M 2m cpu=1\nprobe fill 4000000 16M seed=2 cpu=1\n"
              "probe touch 0 16M order=random count=2000000 cpu=0 &\nprobe touch 4000000 16M order=random count=2000000 cpu=1 &\n"
              "split 0 2m\n-merge 0 2m\n-merge 0 2m\nmerge 0 2m\n"
              "-convert 1000000 4K shared force\nconvert 1000000 4K shared force\nconvert 1000000 4K private force\n"
              "-convert 1200000 4K shared force\n-convert 1200000 4K shared force\nwait all\n"
              "probe verify 0 16M seed=1 cpu=0\nprobe verify 4000000 16M seed=2 cpu=1\nsept\nstats\ntd destroy\n")
    status, text, records = run_script(script, "--smp", "4", "--sim-config", str(knobs), limit=900)
    assert status == 0, text
    by = {cmd: [r for r in records if r["cmd"] == cmd] for cmd in ("merge", "convert", "sept", "stats", "td destroy")}
    assert [r["ok"] for r in by["merge"]] == [False, False, True]
    assert "not all pages of the region are accepted" in by["merge"][0]["error"]
    assert "TDX_EPT_ENTRY_STATE_INCORRECT" in by["merge"][1]["error"] and by["merge"][1]["seamcalls"] == 1
    assert by["merge"][2]["tracks"] == 2
    assert [r["ok"] for r in by["convert"]] == [False, True, True, False, False]
    assert "REMOVE 4K at 0x1000000: TDX_OPERAND_INVALID" in by["convert"][0]["error"]
    assert "PHYMEM.PAGE.WBINVD at 0x1200000" in by["convert"][3]["error"] and by["convert"][3]["lost"] == 1
    assert "lost" in by["convert"][4]["error"] and by["convert"][4]["seamcalls"] == 0
    assert by["sept"][0]["agree"] is True and by["sept"][0]["blocked"] == 0
    assert by["stats"][0]["statuses"]["TDX_OPERAND_BUSY"] >= 5
    end = by["td destroy"][0]
    assert end["lost_bytes"] == 4096 and end["free_bytes"] + end["lost_bytes"] == end["free_bytes_before"]
    assert "lost: 1 pages" in text


def test_vcpu_that_does_not_leave_is_named(tmp_path):
    knobs = tmp_path / "knobs"
    knobs.write_text("kick_lost = 2\n")
    script = "tdx init\ntd create mem=64M level=2m vcpus=2\ntd run\nprobe spin 7000 cpu=1 &\nmap 600000 2M 2m\n-split 600000 2m\n-wait all\ntd destroy\n"
    status, text, records = run_script(script, "--smp", "3", "--sim-config", str(knobs))
    assert status == 0, text
    assert re.search(r"error: vCPU 1 .*does not leave the TD.*CPU 2", text) or re.search(r"vCPU 1 does not leave the TD on CPU 2", text)
    split = next(r for r in records if r["cmd"] == "split")
    assert split["ok"] is False
