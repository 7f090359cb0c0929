"""Merge policies and dirty logging while vCPUs work: pages become large again behind the TD's back, and no write is missed."""
import time

import pytest

from conftest import Septum

LIMIT_S = 300
BASE = 0x4000000
REGION = 2 << 20
REGIONS = 8
WORD = (1 << 64) - 1


@pytest.fixture(scope="module")
def machine():
    """Four CPUs: the console's, two with vCPUs, and one that is free for the policy's work."""
    septum = Septum("--smp", "4", timeout=1200)
    try:
        septum.wait_for_prompt()
        septum.good("tdx init", LIMIT_S)
        septum.good("td create mem=256M vcpus=2", LIMIT_S)
        septum.good("td run", LIMIT_S)
        septum.good(f"probe accept {BASE:x} {REGIONS * 2}M 2m", LIMIT_S)
        septum.good(f"probe fill {BASE:x} {REGIONS * 2}M seed=3", LIMIT_S)
        yield septum
    finally:
        septum.stop()


def cut(machine):
    """One page of each region is shared, and private again: the probe accepts what comes back."""
    for i in range(REGIONS):
        machine.good(f"probe convert {BASE + i * REGION:x} 4K shared cpu=1", LIMIT_S)
        machine.good(f"probe convert {BASE + i * REGION:x} 4K private cpu=1", LIMIT_S)


def verify(machine):
    """All but the pages that came back as new."""
    for i in range(REGIONS):
        answer = machine.good(f"probe verify {BASE + i * REGION + 4096:x} 0x{REGION - 4096:x} seed=3 &")
        assert answer["job"] > 0
        machine.good("wait all", LIMIT_S)


def large_pages(machine):
    answer = machine.good(f"sept {BASE:x} {REGIONS * 2}M", LIMIT_S)
    assert answer["agree"] is True
    return answer["leaf"]["2m"]


@pytest.mark.parametrize("policy", ["scan period=1", "block rest=1 ttl=100 batch=8", "ready delay=0 rest=1",
                                    "hot delay=0 rest=1 ttl=100"])
def test_policy_makes_pages_large_again(machine, policy):
    machine.good(f"policy {policy}")
    cut(machine)
    end = time.monotonic() + LIMIT_S
    while large_pages(machine) < REGIONS:
        assert time.monotonic() < end, machine.good("policy")
        machine.good(f"probe touch {BASE:x} {REGIONS * 2}M stride=0x200000 write=0", LIMIT_S)
    verify(machine)
    answer = machine.good("policy none")
    assert answer["name"] == "none" and answer["queued"] == answer["blocked"] == 0
    assert machine.good("sept", LIMIT_S)["blocked"] == 0


@pytest.mark.parametrize("policy", ["none", "fault"])
def test_policy_that_leaves_it_at_that(machine, policy):
    """A page that comes back by MapGPA is mapped by no fault, and the other one never merges."""
    machine.good(f"policy {policy}")
    cut(machine)
    machine.good("probe spin 100")
    assert large_pages(machine) == 0
    machine.good("policy ready delay=0 rest=1")
    end = time.monotonic() + LIMIT_S
    while large_pages(machine) < REGIONS:
        assert time.monotonic() < end
    verify(machine)
    machine.good("policy none")


@pytest.mark.parametrize("line, words", [
    ("policy fast", "no policy 'fast'; there are: none scan fault block ready hot"),
    ("policy ready ttl=5", "policy ready has no ttl; it takes: batch delay rest"),
    ("policy none rest=5", "policy none has no rest; it takes no parameters"),
    ("policy ready batch=0", "batch=0: a number from 1 to 512 is needed"),
    ("policy rest=5", "a parameter belongs behind the name of a policy"),
    ("policy ready colour=5", "unknown key 'colour'"),
    ("dirty", "too few words"),
    ("dirty maybe", "'maybe': on, off or get is needed"),
    ("dirty on max=4", "max= goes with `dirty get`"),
    ("dirty get", "dirty logging is off"),
    ("dirty off", "dirty logging is off"),
])
def test_refusals_change_nothing(machine, line, words):
    before = machine.good("policy")
    assert words in machine.bad(line)["error"]
    assert machine.good("policy")["name"] == before["name"]


def test_help_names_parameters_with_units(machine):
    text = machine.good("help policy").text
    assert "ttl=1000  ms: untouched for so long, it is unblocked, 1 to 3600000" in text


# --- dirty logging ---

def word(seed, address):
    """probe_word() of the payload."""
    z = (seed * 0x9e3779b97f4a7c15 + address + 0x9e3779b97f4a7c15) & WORD
    z = ((z ^ (z >> 30)) * 0xbf58476d1ce4e5b9) & WORD
    z = ((z ^ (z >> 27)) * 0x94d049bb133111eb) & WORD
    return z ^ (z >> 31)


def draws(seed):
    while True:
        seed = (seed + 0x9e3779b97f4a7c15) & WORD
        yield word(0, seed)


def visits(order, slots, count, seed):
    """The slots that `probe touch` visits, as guest/probe/order.c draws them."""
    draw = draws(seed)
    below = lambda bound: next(draw) * bound >> 64
    while count:
        if order == "random":
            slot = below(slots)
        else:
            first = 1 << below(slots.bit_length())
            slot = first + below(first) - 1
            if slot >= slots:
                continue
        count -= 1
        yield slot


@pytest.mark.parametrize("order", ["random", "zipf"])
def test_dirty_log_has_every_page_that_was_written(machine, order):
    pages = REGIONS * 512
    machine.good("dirty on", LIMIT_S)
    machine.good("dirty get max=65536", LIMIT_S)
    written, seed = set(), 40
    for _ in range(3):
        for vcpu in range(2):
            seed += 1
            machine.good(f"probe touch {BASE:x} {REGIONS * 2}M stride=4K order={order} count=300 seed={seed} cpu={vcpu} &")
            written |= {BASE + slot * 4096 for slot in visits(order, pages, 300, seed)}
        told = machine.good("dirty get max=65536", LIMIT_S)  # while they write
        logged = {at for r in told["ranges"] for at in range(int(r["gpa"], 16), int(r["gpa"], 16) + r["bytes"], 4096)}
        machine.good("wait all", LIMIT_S)
        told = machine.good("dirty get max=65536", LIMIT_S)
        assert told["ranges_left_out"] == 0
        logged |= {at for r in told["ranges"] for at in range(int(r["gpa"], 16), int(r["gpa"], 16) + r["bytes"], 4096)}
        missed = written - logged
        assert not missed, [hex(at) for at in sorted(missed)[:8]]
        inside = {at for at in logged if BASE <= at < BASE + REGIONS * REGION}
        assert inside == written  # nothing else was touched there
        written = set()
    machine.good("dirty off", LIMIT_S)
    assert machine.good("sept", LIMIT_S)["blocked"] == 0


def test_policy_recovers_from_dirty_logging(machine):
    machine.good("policy ready delay=0 rest=1")
    machine.good("dirty on", LIMIT_S)
    assert large_pages(machine) == 0
    machine.good("dirty off", LIMIT_S)
    end = time.monotonic() + LIMIT_S
    while large_pages(machine) < REGIONS:
        assert time.monotonic() < end
    machine.good("td destroy", LIMIT_S)  # with the policy at work
