"""An unmodified Linux as the TD: one boot to its shell, conversions beneath it, its end. Without the packages that tools/linux
fetches the tests are skipped. `make linux-test` has more."""
import pytest

from linux_guest import Guest, find_files

CONVERSIONS = 8


@pytest.fixture(scope="module")
def guest(tmp_path_factory):
    machine = Guest(find_files(tmp_path_factory.mktemp("linux")))
    try:
        machine.boot()
        yield machine
    finally:
        machine.stop()


def test_the_kernel_knows_what_it_runs_in(guest):
    assert "6.12" in guest.run("uname -r")
    guest.run("grep -q -w tdx_guest /proc/cpuinfo")


def test_a_person_talks_to_the_shell(guest):
    """As at a terminal of its own: ^C ends what runs there and not what Septum does, ^] leaves."""
    guest.send("guest\r")
    guest.child.expect_exact("^] leaves it")
    job = "sh -c 'tty; exec sleep 1000'\r"  # one process group: it is the foreground one before it says anything
    guest.send(job)
    guest.child.expect_exact("/dev/ttyS0")
    guest.send("\x03")
    guest.child.expect_exact("guest# ")
    guest.send("\x1d")
    answer = guest.answer()
    assert answer["ok"] is True and answer["runs"] is True and answer["sent"] == len(job + "\x03")
    guest.expect("guest# ")


def test_conversions_split_and_merge_and_lose_nothing(guest):
    guest.good("policy ready delay=10")
    before = guest.good("stats")["seamcalls"]
    assert f"convert: {CONVERSIONS} of {CONVERSIONS}" in guest.run(f"convert {CONVERSIONS}")
    assert " 0 words wrong" in guest.run("stress mib=16 ops=2000")
    after = guest.good("stats")["seamcalls"]
    # Each load of the driver takes two pages from the TD; they come back when it goes, and the region is merged again.
    for leaf, least in (("TDH.MEM.PAGE.REMOVE", 2 * CONVERSIONS), ("TDH.MEM.PAGE.DEMOTE", 1), ("TDH.MEM.PAGE.PROMOTE", 1)):
        assert after[leaf] - before.get(leaf, 0) >= least
    assert guest.good("policy")["counters"]["failed"] == 0
    assert guest.good("sept 0 256M")["agree"] is True


def test_the_guest_powers_off(guest):
    guest.end()
    assert guest.poweroff() == 0
