"""What a machine does to a VMM that runs for long: SMIs, NMIs, broken memory, states and services of an odd firmware."""
import re
import socket

import pytest

from conftest import Septum

# Action required, with a physical address; and one that broke the processor's own context.
RECOVERABLE, FATAL = "0xbd80000000000134", "0xb200000000000005"
# CR4: SMAP, CET, LASS.
KNOBS = f"""cr4_left = 0x8a00000
local_apic = x2apic
smi_every = 2
memory_error = 0x2000000 {RECOVERABLE}
memory_error = 0x2201000 {FATAL}
"""
NMIS = 50


@pytest.fixture(scope="module", name="booted")
def fixture_booted(tmp_path_factory):
    """(Septum at its prompt with TDX initialised, QEMU's monitor, the file of what the console says)"""
    folder = tmp_path_factory.mktemp("guard")
    (folder / "knobs").write_text(KNOBS)
    machine = Septum("--smp", "3", "--sim-config", str(folder / "knobs"), "--options", "log=debug", "--monitor", str(folder / "m"),
                     "--log", str(folder / "log"))
    try:
        machine.wait_for_prompt()
        monitor = socket.socket(socket.AF_UNIX)
        monitor.settimeout(60)
        monitor.connect(str(folder / "m"))
        machine.good("tdx init")
        yield machine, monitor, folder / "log"
    finally:
        machine.stop()


@pytest.fixture(name="machine")
def fixture_machine(booted):
    return booted[0]


def create(machine):
    machine.good("td create mem=64M vcpus=2 level=2m")
    machine.good("td run")


def test_what_the_firmware_left(machine):
    assert "simtdx: the VMM turned 8a00000 off in CR4 of CPU 0" in machine.boot_text
    assert "info: the firmware left on in CR4, and it is turned off: SMAP CET LASS" in machine.boot_text
    assert "debug: the local APIC was in x2APIC mode; now it is in x2APIC mode" in machine.boot_text


def test_smis_and_nmis_interrupt_nothing_for_good(booted):
    """Every second look of the module finds an SMI, and NMIs come all the time to all CPUs, into SEAMCALLs and into the TD."""
    machine, monitor, log = booted
    free = machine.good("mem")["free_bytes"]
    create(machine)
    machine.good("probe accept 0 16M 2m")
    machine.good("probe fill 0 16M seed=1")
    machine.good("stats reset")
    machine.good("probe touch 1000000 4M order=random count=200000 cpu=1 &")
    for i in range(NMIS):
        monitor.sendall(b"nmi\n")
        if i % 10 == 0:
            machine.good(f"split {i // 10 * 0x200000:x} 2m")
            machine.good(f"probe convert {i // 10 * 0x200000:x} 4K shared")
            machine.good(f"probe convert {i // 10 * 0x200000:x} 4K private")
            machine.good(f"merge {i // 10 * 0x200000:x} 2m")
    machine.good("wait all")
    answer = machine.good("stats")
    assert answer["statuses"]["TDX_INTERRUPTED_RESTARTABLE"] >= 5, answer
    assert machine.good("probe verify a00000 6M seed=1")["bad_bytes"] == 0
    told = re.findall(r"warn: (\d+) NMIs? that Septum has not sent", log.read_text(encoding="latin-1"))
    assert 5 <= sum(map(int, told)) <= 3 * NMIS, told
    machine.good("td destroy")
    assert machine.good("mem")["free_bytes"] == free


def test_broken_page_ends_one_td(machine):
    """The page is found broken at its first use, its TD is dead, and nobody gets that page again: a use of it would kill the next."""
    before = machine.good("mem")
    create(machine)
    machine.good("probe accept 2000000 2M 2m")
    broken = machine.bad("probe touch 2000000 4K")["error"]
    page = int(re.fullmatch(r"the TD is dead: vCPU 0 met a machine check \(bank 1, status " + RECOVERABLE +
                            r", address (0x[0-9a-f]+)\); that page is kept out of use", broken).group(1), 16)
    assert page % 4096 == 0
    end = machine.good("td destroy")
    assert end["lost_bytes"] == 4096 and before["free_bytes"] - machine.good("mem")["free_bytes"] == 4096
    create(machine)
    machine.good("probe accept 0 32M 2m")
    machine.good("probe fill 0 32M seed=3")
    machine.good("probe accept 2000000 2M 2m")
    machine.good("probe fill 2000000 2M seed=3")
    assert machine.good("probe verify 2000000 2M seed=3")["bad_bytes"] == 0
    machine.good("td destroy")


def test_fatal_machine_check_is_a_panic(machine):
    create(machine)
    machine.good("probe accept 2200000 2M 2m")
    machine.send("probe touch 2201000 4K\r")
    machine.child.expect(r"panic on CPU 1: ([^\r\n]*)\r", timeout=60)
    assert machine.child.match.group(1) == f"machine check while vCPU 0 ran, fatal: bank 1, status {FATAL}"
    machine.child.expect("halted", timeout=60)
    assert "CPU 0 was at" in machine.child.before


# --- the firmware's ResetSystem ---

WAYS = {"returns": "came back", "faults": "faulted, or did not end", "hangs": "faulted, or did not end"}


def test_reset_that_the_firmware_fails_at(tmp_path):
    """The next way is ACPI's reset register. Of a hang, interrupts off, the watchdog tells: CPU 1's, since no cycles are counted."""
    machines = {}
    try:
        for how in WAYS:
            (tmp_path / how).write_text(f"reset = {how}\n")
            machines[how] = Septum("--smp", "2", "--sim-config", str(tmp_path / how), "--options", "log=debug")
        for machine in machines.values():
            machine.wait_for_prompt().send("reboot\r")
        for how, words in WAYS.items():
            child = machines[how].child
            assert "debug: the local APIC was in xAPIC mode; now it is in x2APIC mode" in machines[how].boot_text
            child.expect(r"warn: the firmware's ResetSystem ([^\r\n]*)\r", timeout=90)
            assert child.match.group(1) == f"{words}: the next way is taken"
            assert child.expect(["panic", "simtdx: TDX platform"], timeout=90) == 1  # it starts anew
    finally:
        for machine in machines.values():
            machine.stop()
