"""The lab: runs that repeat to the byte, what is refused, terabytes, hours. That its counts are the platform's is in
test_experiment.py, beside the boot that it compares with."""
import json

import pathlib
import re
import subprocess
import sys

import pytest

from conftest import BUILD, ROOT

sys.path.insert(0, str(ROOT / "tools"))
from runner import profile  # noqa: E402

LAB = ROOT / "tools" / "lab"
LIMIT_S = 600  # a net: each run takes a second or two


def run(*words, script=None):
    """(status, standard output, standard error)."""
    done = subprocess.run([str(LAB), "--build", str(BUILD), *words], input=script, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          timeout=LIMIT_S, check=False, text=True)
    return done.returncode, done.stdout, done.stderr


def answers(out):
    return [json.loads(line[1:]) for line in out.splitlines() if line.startswith("@{")]


def samples(out):
    return [a for a in answers(out) if "sample" in a]


def test_a_run_repeats_to_the_byte():
    first = run("policies", "workload=back4k", "regions=2", "rounds=2", "seed=7", "--cpus", "4")
    assert first[0] == 0 and first[2] == "" and len(samples(first[1])) == 12
    assert run("policies", "workload=back4k", "regions=2", "rounds=2", "seed=7", "--cpus", "4") == first


def test_jitter_moves_times_and_repeats():
    line = ("policies", "workload=back4k", "policy=ready", "regions=2", "rounds=1")
    plain, one, two = (run(*line, *more) for more in ((), ("--jitter", "1"), ("--jitter", "2")))
    assert run(*line, "--jitter", "1") == one and len({plain[1], one[1], two[1]}) == 3
    assert [samples(r[1])[0]["seamcalls_for"] for r in (one, two)] == [samples(plain[1])[0]["seamcalls_for"]] * 2


def test_samples_say_what_they_are():
    for s in samples(run("convert", "rounds=1", "--profile", "slow-ipi")[1]):
        assert s["platform"] == "SeptumLabTDX" and s["profile"] == "slow-ipi" and s["seed"] == 1


def test_a_profile_changes_times_and_no_counts():
    """One vCPU alone: nothing depends on who is faster."""
    def counts(name):
        return [{k: v for k, v in s.items() if k not in ("tsc", "pauses", "profile", "lab")}
                for s in samples(run("convert", "rounds=1", "--profile", name)[1])]

    def ticks(name):
        return sum(s["tsc"] for s in samples(run("convert", "rounds=1", "--profile", name)[1]))

    assert counts("flat") == counts("server") == counts("slow-ipi")
    assert ticks("flat") < ticks("server")


@pytest.mark.parametrize("words, error", [
    (["nonsense"], "no experiment 'nonsense'; `help experiment` lists them"),
    (["convert", "foo=1"], "convert has no foo"),
    (["convert", "rounds=0"], "rounds=0: a number from 1 to 100000 is needed"),
    (["convert", "--profile", "quick"], "no profile 'quick': there are flat, server, slow-ipi, or a file by its path"),
    (["convert", "--profile", "./no/such.profile"], "no/such.profile: No such file or directory"),
    (["policies", "regions=4096", "--memory", "4G"], "TD memory of 12304 MiB: out of memory"),
    (["convert\nversion"], "is no word of a command"),
    (["--script", "/no/such/file"], "--script /no/such/file: No such file or directory"),
    (["convert", "--file", "/no/such/file"], "/no/such/file: No such file or directory"),
])
def test_refusals_are_one_line(words, error):
    status, _, err = run(*words)
    assert status == 1 and error in err and err.count("\n") == 1 and err.startswith("lab: "), err


@pytest.mark.parametrize("words, error", [
    ([], "an experiment is needed, or --script, and not both"),
    (["convert", "--memory", "16"], "'16': a size from 1G to 8T is needed"),
    (["convert", "--cpus", "35"], "'35': a number from 1 to 34 is needed"),
    (["convert", "--cpus", "2", "--vcpus", "2"], "not allowed with"),
])
def test_wrong_command_lines(words, error):
    status, out, err = run(*words)
    assert status == 2 and error in err and out == ""


def test_a_failing_script_says_which_command():
    status, out, err = run("--script", "-", script="tdx init\ntd create mem=3\nversion\n")
    assert status == 1 and err == "lab: mem must be a multiple of 2M from 8M to 2048G\n"
    last = answers(out)[-1]
    assert (last["cmd"], last["ok"], last["status"]) == ("poweroff", True, 1)


def test_a_tebibyte():
    """Created, all of it above the ROM accepted at 2M, a page far up shared, taken back and merged to 1G, destroyed."""
    lines = ["tdx init", "td create mem=1024G vcpus=2", "td run", "probe accept 100000000 996G 2m",
             "probe touch 100000000 996G stride=1G write=1", "probe convert F980123000 4K shared",
             "probe convert F980123000 4K private", "merge F980000000 2m", "merge F980000000 1g", "walk F980123000",
             "probe fill F980123000 4K", "probe verify F980123000 4K", "td destroy"]
    status, out, err = run("--memory", "1100G", "--script", "-", script="\n".join(lines) + "\n")
    assert status == 0, err
    by_command = {a["cmd"]: a for a in answers(out)}
    assert by_command["probe accept"]["accepted"]["2m"] == 996 * 512
    assert by_command["probe touch"]["touched"] == 996
    assert by_command["walk"]["level"] == "1g" and by_command["walk"]["agree"]
    assert by_command["probe verify"]["bad_bytes"] == 0
    assert by_command["td destroy"]["free_bytes"] == by_command["td destroy"]["free_bytes_before"]


def test_a_hold_is_one_pause():
    """However often a vCPU asks whether it may go on: no more pauses than entries, and the longest are in the distribution."""
    status, out, err = run("policies", "workload=back4k", "policy=hot", "regions=64", "readers=8", "rounds=1", "--vcpus", "16")
    assert status == 0, err
    s = samples(out)[0]
    assert s["kicks"] > 64 and s["pauses"]["count"] <= s["exits"]
    assert s["pauses"]["median_at_most"] > 1000, "ticks; an IPI alone takes 2000"


def test_sensitivity_says_where_the_order_changes(tmp_path):
    """Two assumed numbers: SEPT.RD, which `block` alone does without, and WBINVD, which no policy calls."""
    text = re.sub("# assumed:", "# source: the test, was", "\n".join(lines_of("server")))
    for key in ("tdh_mem_sept_rd", "wbinvd"):
        text = re.sub(f"^({key} .*)# source:", r"\1# assumed:", text, flags=re.MULTILINE)
    path = tmp_path / "two.profile"
    path.write_text(text + "\n", encoding="utf-8")
    status, out, err = run("sensitivity", "workload=back4k", "rounds=1", "settle=400", "seeds=2", "--profile", str(path))
    assert status == 0, err
    found = samples(out)
    assert [(s["scaled"], s["factor"]) for s in found] == [("none", 1)] + [
        (label, factor) for label in ("all", "tdh_mem_sept_rd", "wbinvd") for factor in (0.25, 0.5, 2, 4)]
    assert answers(out)[-1] == {"cmd": "experiment", "ok": True, "experiment": "sensitivity", "samples": 13}
    ticks = {(s["scaled"], s["factor"]): next(iter(s["metrics"]["seamcall_ticks"].values())) for s in found}
    for (label, factor), by_policy in ticks.items():
        base = ticks["none", 1]
        for policy in by_policy:
            assert (by_policy[policy] != base[policy]) == (label in ("all", "tdh_mem_sept_rd") and policy in ("scan", "ready", "hot"))
    for s in found:
        swapped = {a + " " + b for a, b in s["swapped"]["seamcall_ticks"]}
        expected = {f"block {p}" for p in ("scan", "ready", "hot") if s["scaled"] in ("all", "tdh_mem_sept_rd") and s["factor"] == 0.25}
        assert swapped == expected, s
    assert "seamcall_ticks: as good as equal are fault and none" in out
    assert "pauses_total: the order of the policies is the same with every number scaled" in out


def test_sensitivity_is_refused():
    assert run("sensitivity", "policy=hot")[::2] == (1, "lab: sensitivity ranks all policies, and takes no policy=\n")
    assert "from 1 to 100" in run("sensitivity", "seeds=0")[2] and "a number is needed" in run("sensitivity", "seed=x")[2]
    status, _, err = run("sensitivity", "rounds=0")
    assert status == 1 and err == "lab: rounds=0: a number from 1 to 100000 is needed\n"


@pytest.mark.parametrize("number", ["wbinvd 100000000", "ipi 1000000", "tdh_mem_track 1000000", "pause 1", "rdtsc 2000"])
def test_no_latency_is_too_much(tmp_path, number):
    """CPUs wait for each other's calls and kicks, however long those take; WBINVD takes 50 ms here."""
    path = tmp_path / "slow.profile"
    path.write_text(f"like server\n{number} # assumed: for the test\n", encoding="utf-8")
    status, out, err = run("policies", "policy=hot", "regions=2", "rounds=1", "--profile", str(path))
    assert status == 0, err
    assert samples(out)[0]["settled"]


def test_an_hour_of_guest_life():
    status, out, err = run("policies", "workload=back4k", "policy=none", "regions=2", "rounds=1", "settle=3600000", "step=1000")
    assert status == 0, err
    assert samples(out)[0]["ms"] >= 3600000 and not samples(out)[0]["settled"]


# --- profiles ---------------------------------------------------------------------------------------------------------


def test_all_profiles_are_whole():
    assert {"flat", "server", "slow-ipi"} <= set(profile.names())
    for name in profile.names():
        numbers = profile.read(name)
        assert all(n.source for n in numbers.values())
    assert any(not n.is_assumed for n in profile.read("server").values())


def test_the_server_adds_up_to_what_is_published():
    """Ticks of 0.5 ns; the sums are those of the profile's head: A a CPUID that the VMM answers, B pages removed, C pages accepted."""
    n = {name: number.value for name, number in profile.read("server").items()}
    left = n["tdcall"] + n["td_exit"]
    assert n["tdcall"] == pytest.approx(2 * 646, rel=0.01)
    assert n["tdcall"] + n["ve"] + left + n["vmm_step"] + n["tdh_vp_enter"] == pytest.approx(2 * 3850, rel=0.1)
    assert n["tdh_phymem_page_reclaim"] + n["tdh_phymem_page_wbinvd"] == pytest.approx(2 * 5100, rel=0.1)
    kick = n["ipi"] + left + n["interrupt"] + n["tdh_vp_enter"]
    removal = n["tdh_mem_range_block.4k"] + n["tdh_mem_track"] + kick + n["tdh_mem_page_remove.4k"] + n["tdh_phymem_page_wbinvd"]
    assert removal + 4 * n["vmm_step"] == pytest.approx(2 * 15300, rel=0.1)
    accepted = left + n["tdh_mem_page_aug.4k"] + n["tdh_vp_enter"] + n["tdg_mem_page_accept.4k"] + n["vmm_step"]
    assert 0.4 < accepted / (2 * 14000) < 1, "the rest is Linux's own work for a page"


def lines_of(name):
    return profile.find(name).read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize("old, new, error", [
    ("pause ", "paws ", "unknown key 'paws'; sim/profiles/keys lists them"),
    ("rdtsc ", "pause ", "pause is here a second time"),
    ("access ", "# ", ": access is missing; sim/profiles/keys lists all that a profile has"),
    ("140", "0", "pause 0: a number from 1 to 1000000 is needed"),
    ("140", "-4", "pause -4: a number from 1 to 1000000 is needed"),
    ("140", "1 2", "pause takes one number"),
    ("tlb_miss                 4k", "tlb_miss", "tlb_miss takes a page size (4k, 2m, 1g) and one number"),
    ("tdh_mem_page_aug         4k", "tdh_mem_page_aug         1g", "tdh_mem_page_aug has no page size '1g': 4k, 2m"),
    ("25  # assumed:", "25  # guessed:", "rdtsc: '# source: WHERE' or '# assumed: WHY' must stand behind the number"),
    ("25  # assumed:", "25  # assumed: #", None),
])
def test_bad_profiles(tmp_path, old, new, error):
    text = "\n".join(lines_of("server")) + "\n"
    at = [n for n, line in enumerate(text.splitlines(), 1) if old in line]
    assert at
    path = tmp_path / "bad.profile"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    status, _, err = run("convert", "rounds=1", "--profile", str(path))
    if error is None:
        assert status == 0
        return
    assert status == 1 and error in err and err.count("\n") == 1
    if "missing" not in error:
        assert f"bad.profile:{at[0]}: " in err


def test_profiles_like_each_other(tmp_path):
    path = tmp_path / "mine.profile"
    path.write_text("like slow-ipi\npause 20 # assumed: for the test\n", encoding="utf-8")
    mine, base = profile.read(str(path)), profile.read("slow-ipi")
    assert mine["pause"].value == 20 and {k for k in mine if mine[k] != base[k]} == {"pause"}
    for text, error in [(f"like {path}\n", "which is like this one"), ("like nobody\n", "no profile 'nobody'"),
                        ("pause 20 # assumed: x\nlike flat\n", "before all numbers")]:
        path.write_text(text, encoding="utf-8")
        with pytest.raises(profile.BadProfile, match=re.escape(error)):
            profile.read(str(path))


def test_the_lab_knows_the_same_keys():
    """sim/profiles/keys and lab/cost.h: each number less is refused, and each name that the lab has not."""
    program = pathlib.Path(BUILD) / "lab" / "septum"
    numbers = [f"{name}={number.value}" for name, number in profile.read("flat").items()]

    def said(words):
        done = subprocess.run([str(program), *words], input="poweroff\n", capture_output=True, text=True, timeout=LIMIT_S, check=False)
        return done.returncode, done.stderr

    assert said(numbers) == (0, "")
    for i, one in enumerate(numbers):
        assert said(numbers[:i] + numbers[i + 1:]) == (1, f"lab: the profile has no {one.split('=')[0]}\n")
    assert said(numbers + ["access.4k=1"]) == (1, "lab: 'access.4k=1' is neither an option nor a number of a profile\n")


def test_a_conversion_across_the_border_of_two_1g_pages_is_one_plan():
    """A page on each side, by one MapGPA: twice BLOCK, DEMOTE, BLOCK, DEMOTE, BLOCK, REMOVE behind three TRACKs."""
    script = """tdx init
td create mem=5G
td run
probe accept 40000000 2G 2m
merge 40000000 1g
merge 80000000 1g
convert 7ffff000 8K shared
-probe fill bfff0000 1G
-probe fill ff000000 32M
td info
"""
    status, out, _ = run("--script", "-", "--memory", "8G", script=script)
    got = answers(out)
    convert = next(a for a in got if a["cmd"] == "convert")
    assert convert["ok"] and convert["seamcalls"] == 15 and convert["mapgpa_retries"] == 0
    fills = [a for a in got if a["cmd"] == "probe fill"]
    assert "is a page of the payload's image" in fills[0]["error"] and fills[0]["at"] == got[-2]["payload"]
    assert "is a page of the payload's image" in fills[1]["error"]
    # Below the reset vector's page, in the GiB that that one is in the way of.
    assert got[-2]["shared_gib"] == "0xc0000000" and int(got[-2]["payload"], 16) > 0xFF000000
