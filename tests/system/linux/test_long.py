"""What takes long about a Linux as the TD, for `make linux-test`: merge policies beneath it, several vCPUs, bounce buffers at odd
places, another kernel by kexec. Each of its guests works on memory and finds every byte as it wrote it."""
import json
import pathlib
import re
import subprocess
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from conftest import BUILD, ROOT  # noqa: E402
from linux_guest import Guest, find_files, volume  # noqa: E402

POLICIES = ["none", "scan", "fault", "block", "ready", "hot"]
PHASES = ["boot", "convert", "stress", "both"]
MEMORY = 512 << 20
CONVERSIONS = 40
# Beside the driver's conversions: its output comes when both are done.
WORK = "convert {conversions} & stress mib={mib} ops={ops} threads={threads}; wait"


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return find_files(tmp_path_factory.mktemp("linux"))


@pytest.fixture(scope="module")
def guest(files):
    machine = Guest(files, timeout=3000)
    try:
        machine.boot(mem="512M")
        yield machine
    finally:
        machine.stop()


def work(guest, conversions=CONVERSIONS, mib=64, ops=20000, threads=1):
    said = guest.run(WORK.format(conversions=conversions, mib=mib, ops=ops, threads=threads), limit=600)
    assert f"convert: {conversions} of {conversions}" in said
    assert " 0 words wrong" in said


def agree(guest, memory=MEMORY):
    answer = guest.good(f"sept 0 {memory:#x}", 300)
    assert answer["agree"] is True
    return answer


@pytest.mark.parametrize("policy", POLICIES)
def test_no_policy_loses_a_byte(guest, policy):
    guest.good(f"policy {policy}")
    work(guest)
    agree(guest)
    guest.good("policy none")


def test_ready_keeps_pages_large(guest):
    """What conversions have split is whole again when all is private; where pages are shared for good it cannot be."""
    guest.good("policy ready delay=1")
    work(guest)
    guest.run("sleep 1")
    answer = agree(guest)
    shared_regions = answer["shared_bytes"] // (2 << 20) + 8
    assert answer["leaf"]["2m"] >= (MEMORY >> 21) - shared_regions - 8
    guest.good("policy none")


def test_panic_is_told_in_the_kernels_words(files):
    machine = Guest(files)
    try:
        machine.create(words="rdinit=/none root=/dev/none")
        machine.good("td run")
        why = machine.bad("td wait timeout=240", 270)["error"]
        assert re.fullmatch(r"the guest reset the machine; its last words: \[ *[\d.]+\] Kernel panic - not syncing: "
                            r"VFS: Unable to mount root fs on .*", why), why
        assert machine.bad("td run")["error"] == "the guest has ended: only `td destroy` is left"
        machine.destroy()
    finally:
        machine.stop()


def test_guest_ends_and_another_begins(guest):
    guest.end()
    guest.boot(mem="512M")
    work(guest, conversions=4, ops=2000)
    guest.end()


@pytest.mark.parametrize("words", ["swiotlb=33333", "swiotlb=8193,force"])
def test_bounce_buffers_at_odd_places(files, words):
    machine = Guest(files)
    try:
        machine.boot(mem="512M", words=words)
        assert "swiotlb" in machine.run("cat /proc/cmdline")
        work(machine, conversions=8, mib=32, ops=5000)
        agree(machine)
        machine.end()
    finally:
        machine.stop()


def experiment(machine, name, words):
    """Its samples."""
    machine.send(f'experiment {name} kernel={machine.kernel.name} initrd={machine.initrd.name} {words} timeout=1500 '
                 f'cmdline="{volume.COMMAND_LINE}"\r')
    samples = []
    while not samples or "sample" in samples[-1]:
        machine.child.expect(r"\n@(\{[^\r\n]*\})\r?(?=\n)", timeout=1600)
        samples.append(json.loads(machine.child.match.group(1)))
    assert samples.pop()["ok"] is True
    return samples


def test_policies_under_the_same_work(files):
    """The experiment. A load of the driver shares two pages, its removal takes them back; before the first it is removed."""
    machine = Guest(files, timeout=7200)
    try:
        samples = experiment(machine, "linux-policies", "times=8 ops=4000 stress=32 settle=1000")
        assert [(s["policy"], s["phase"]) for s in samples] == [(p, phase) for p in POLICIES for phase in PHASES]
        of = {(s["policy"], s["phase"]): s for s in samples}
        for policy in POLICIES:
            assert [of[policy, phase]["conversions"] for phase in PHASES[1:]] == [17, 0, 16]
            assert [of[policy, phase]["calls"]["remove"] for phase in PHASES[1:]] == [16, 0, 16]
            assert [of[policy, phase]["did"]["failed"] for phase in PHASES] == [0, 0, 0, 0]
        for policy in ("none", "fault"):
            assert of[policy, "both"]["did"]["merged"] == 0 and of[policy, "both"]["large"] < of[policy, "both"]["whole"]
        for policy in ("scan", "ready", "hot"):
            assert of[policy, "both"]["did"]["merged"] >= 1
        assert of["ready", "both"]["settled"] is True
    finally:
        machine.stop()


def test_boots_by_page_size_and_acceptance(files):
    """The experiment: what is mapped at 4K has no large page, what the kernel accepts itself is less than all."""
    machine = Guest(files, timeout=3600)
    try:
        samples = experiment(machine, "linux-boot", "mem=512")
        assert [(s["level"], s["accept"]) for s in samples] == [("2m", "eager"), ("2m", "lazy"), ("4k", "eager"), ("4k", "lazy")]
        assert [s["mapped_bytes"]["2m"] > 0 for s in samples] == [True, True, False, False]
        for eager, lazy in (samples[:2], samples[2:]):
            assert sum(lazy["mapped_bytes"].values()) < sum(eager["mapped_bytes"].values())
        assert samples[2]["faults"] > 20 * samples[0]["faults"]
    finally:
        machine.stop()


def test_the_same_linux_beside_the_td(files):
    """In QEMU alone and as an ordinary guest it comes to the same end; the times are nobody's verdict."""
    done = subprocess.run([ROOT / "tools/linux/beside", "--build", BUILD, "--rounds", "1"], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, check=False, timeout=1500)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.findall(r"^(\w+) +[0-9. ]+$", done.stdout, re.MULTILINE) == ["alone", "guest", "td", "septum"]
    assert re.search(r"^td / guest: \d+\.\d\d$", done.stdout, re.MULTILINE)


def test_four_vcpus(files):
    machine = Guest(files, vcpus=4)
    try:
        machine.boot(mem="512M")
        assert re.search(r"\[guest\] 4\r", machine.run("nproc"))
        assert "registers: 0 of 8 processes lost some" in machine.run("registers 8 1000")
        machine.good("policy ready delay=10")
        work(machine, conversions=10, mib=32, ops=2000, threads=4)
        agree(machine)
        machine.end()
    finally:
        machine.stop()


def test_kexec(files, tmp_path):
    """The kernel takes all shared pages back before it goes; the next one begins with the same memory."""
    _, kernel, initrd = files
    inner = tmp_path / "inner"
    inner.write_bytes(initrd.read_bytes())
    machine = Guest(find_files(tmp_path, add=[kernel, inner]))
    try:
        machine.boot(mem="512M")
        machine.good(f'guest send "kexec /tests/{kernel.name} /tests/inner \\"$(cat /proc/cmdline)\\"\\n"')
        machine.expect("guest: shell", 240)
        machine.expect("guest# ")
        work(machine, conversions=4, ops=2000)
        agree(machine)
        machine.end()
    finally:
        machine.stop()
