"""A TD that means harm (tests/system/guests/hostile), in the place of a Linux: Septum says in a line how it ended, or takes it out while it
goes on, and has all its memory back. What is behind the calls is tried harder in host processes (test_ghci.c, `make fuzz`)."""
import time

import pytest

from conftest import BUILD, Septum, wait_until

VCPUS = 3
REPORT = 'vCPU 0 reports a fatal error, code 0x1234: ..@{"ok":true} .[2J 64 bytes of it, and none of them ends this t'
PANIC = "the guest reset the machine; its last words: [    1.000000] Kernel panic - not syncing: all is lost"
NOTHING = "address 0xfee00000, where the TD has no memory and no device"


@pytest.fixture(scope="module")
def septum():
    machine = Septum("--smp", str(VCPUS + 1), "--linux", str(BUILD / "hostile.bin"))
    try:
        machine.wait_for_prompt()
        machine.good("tdx init")
        machine.free_bytes = machine.good("mem")["free_bytes"]
        yield machine
    finally:
        machine.stop()


def begin(septum, words):
    septum.good(f'td create payload=linux kernel=hostile.bin mem=32M vcpus={VCPUS} cmdline="{words}"')
    septum.good("td run")


def end(septum):
    """Whatever it did, Septum knows its memory, and has it back."""
    assert septum.good("sept")["agree"] is True
    septum.good("td destroy")
    assert septum.good("mem")["free_bytes"] == septum.free_bytes


@pytest.mark.parametrize("words, why", [
    ("report", REPORT),
    ("panic", PANIC),
    ("triple", "vCPU 0 stopped by a triple fault"),
    ("shared fee00000", f"vCPU 0 went to shared {NOTHING}"),
    ("private fee00000", f"vCPU 0 went to private {NOTHING}"),
    ("accept fee00000 0", f"vCPU 0 went to private {NOTHING}"),
])
def test_it_ends_in_a_line(septum, words, why):
    begin(septum, words)
    assert septum.bad("td wait")["error"] == why
    assert septum.good("td info")["end"] == why
    end(septum)


@pytest.mark.parametrize("seed", [1, 2])
def test_calls_at_random(septum, seed):
    """Of all its vCPUs at once, conversions of the same memory among them."""
    begin(septum, f"calls {seed} 100")
    septum.good("td wait timeout=120", 150)
    end(septum)


def test_it_takes_its_own_pages_away(septum):
    begin(septum, "share")
    septum.child.expect(r"vCPU 0 stopped: attr_mismatch: private access to 0x1[0-9a-f]+, which is shared\r")
    wait_until(lambda: septum.good("td info")["vcpu_states"] == ["waiting"] * VCPUS, 60)
    end(septum)


@pytest.mark.parametrize("words", ["spin", "timer", "interrupts", "flood"])
def test_it_goes_on_until_it_is_taken_out(septum, words):
    begin(septum, words)
    for _ in range(3):
        time.sleep(0.2)
        septum.good("td stop")
        assert septum.good("td info")["state"] == "stopped"
        septum.good("td run")
    end(septum)


def test_another_td_has_all_it_takes(septum):
    septum.good(f"td create mem=32M vcpus={VCPUS}")
    septum.good("td run")
    septum.good("probe fill 800000 8M seed=3")
    assert septum.good("probe verify 800000 8M seed=3")["bad_bytes"] == 0
    end(septum)
    assert septum.poweroff() == 0
