"""The console: every bad input gets one clear error and changes nothing; ^C, history and scripts work."""
import time

import pytest

from conftest import PROMPT, Septum, run_script

# What is typed, and words that its error must hold. The TD exists and runs.
BAD_LINES = [
    ("nonsense", "nonsense"),
    ("tdx", "init"),
    ("tdx nonsense", "init"),
    ("td create mem=1200M", ""),  # there is one already
    ("td create colour=red", "colour"),
    ("td info extra", "too many"),
    ("map", ""),
    ("map xyz 4K", "xyz"),
    ("map 1001 4K", "4K"),
    ("map 0 0", "4K"),
    ("map 0 12", "4K"),
    ("map 0 4K 1g", "1g"),
    ("map 0 4K 3m", "3m"),
    ("map fffffffffffff000 4K", ""),
    ("map 0 fffffffffffff000", ""),
    ("map 8000000000000 2M", ""),
    ("map 800000000000 4K", ""),  # the shared bit
    ("convert 0 4K", ""),
    ("convert 0 4K purple", "purple"),
    ("convert 123 4K shared", "4K"),
    ("convert 4b000000 4K shared", ""),  # behind the TD's memory
    ("convert 0 99999999999999999999 shared", ""),
    ("split 0", ""),
    ("split 0 4k", ""),
    ("split 1000 2m", "2"),
    ("split zz 2m", "zz"),
    ("merge 0", ""),
    ("merge 1000 2m", ""),
    ("merge 40000000000 1g", ""),
    ("block 0 8k", "8k"),
    ("unblock 0 4k", ""),  # nothing is blocked
    ("walk", ""),
    ("walk g", "g"),
    ("walk 800000000000000000000", ""),
    ("sept nonsense", ""),
    ("sept 0", ""),
    ("probe", "fill"),
    ("probe nonsense", "fill"),
    ("probe fill", ""),
    ("probe fill 0", ""),
    ("probe fill 0 4K seed=x", "seed"),
    ("probe fill 0 4K colour=1", "colour"),
    ("probe fill 4b000000 4K", ""),
    ("probe accept 0 4K 1g", "2m"),
    ("probe touch 0 4K order=sideways", "sideways"),
    ("probe touch 0 4K stride=0", ""),
    ("probe touch 0 4K count=x", ""),
    ("probe touch 0 4K write=2", ""),
    ("probe spin", ""),
    ("probe spin soon", "soon"),
    ("probe verify 0 4K cpu=9", ""),
    ("plan", ""),
    ("plan nonsense", ""),
    ("plan convert 0 4K purple", "purple"),
    ("stats nonsense", ""),
    ("log nonsense", "nonsense"),
    ("trace nonsense", ""),
    ("script missing.txt", "missing.txt"),
    ("help nonsense", "nonsense"),
    ("poweroff 256", "255"),
    ("poweroff soon", "soon"),
    ("poweroff -1", ""),
    ("mem extra", "too many"),
    ("key=value", ""),
    ("@{}", ""),
    ("x" * 10000, ""),
    ("map " * 250, ""),
    ("td create " + "a=1 " * 40, ""),
    ("walk \x80\xff\xfe", ""),
    ("walk \x02\x0e", ""),  # ^B and ^N edit the line: a walk without an address
    ("'\"`$(;|&<>", ""),
    ("%s%n%x", ""),
]


@pytest.fixture(scope="module")
def running(septum):
    """The TD runs, with its first 4M mapped and accepted."""
    septum.good("td create mem=1200M payload=probe")
    septum.good("td run")
    septum.good("probe accept 0 4M 2m")
    yield septum
    septum.good("td destroy")


def snapshot(septum):
    return [septum.good("sept"), septum.good("mem"), septum.good("td info"), septum.good("walk 0")]


def test_one_cpu_has_no_watchdog(septum):
    """The simulated platform counts no cycles."""
    assert septum.boot_text.count("info: no watchdog for CPU 0: it does not count its cycles, and no other CPU is there to look at it") == 1


def test_bad_lines_get_one_error_and_change_nothing(running):
    before = snapshot(running)
    seen = []
    for line, words in BAD_LINES:
        answer = running.bad(line)
        if words not in answer["error"]:
            seen.append((line, answer["error"]))
        assert answer.text.count("\nerror: ") == 1 and "\n@" not in answer.text
    assert not seen, "errors that do not name what was wrong"
    assert snapshot(running) == before
    running.good("probe touch 0 4M stride=4K")


def test_binary_bytes_do_no_harm(running):
    before = snapshot(running)
    running.send("".join(chr(byte) for byte in range(0x80, 0x100)) + "\r")
    assert running.answer()["ok"] is False
    assert snapshot(running) == before


def test_every_command_explains_itself(running):
    text = running.good("help").text
    for name in ("tdx", "td", "map", "convert", "split", "merge", "block", "unblock", "walk", "sept", "probe", "plan", "stats",
                 "mem", "cpus", "version", "log", "trace", "script", "reboot", "poweroff"):
        assert name in text
        assert name in running.good(f"help {name}").text


def test_empty_lines_and_comments_are_silent(running):
    running.send("\r")
    running.child.expect_exact(PROMPT)
    assert "@" not in running.child.before
    running.send("# a comment\r")
    running.child.expect_exact(PROMPT)
    assert "@" not in running.child.before


def test_editing_and_history(running):
    running.send("versionx\x08\r")
    assert running.answer()["cmd"] == "version"
    running.send("\x1b[A\r")
    assert running.answer()["cmd"] == "version"
    running.send("mem nonsense\x03")
    running.child.expect_exact(PROMPT)
    running.send("versi\t\r")
    assert running.answer()["cmd"] == "version"


def test_long_answers_come_a_page_at_a_time_once_rows_are_told(running):
    lines = running.good("help").text.count("\n")
    running.good("rows 10")
    asking = "-- space: a page, enter: a line, q: no more --"
    running.send("help\r")
    for key in " \rq":
        running.child.expect_exact(asking)
        running.send(key)
    assert running.answer()["cmd"] == "help"
    running.send("help\r")
    running.child.expect_exact(asking)
    running.send("rows 0\r")  # ends the pages, and is the next command
    assert running.answer()["cmd"] == "help"
    assert running.answer()["rows"] == 0
    assert running.good("help").text.count("\n") == lines


def test_interrupt_takes_the_td_out_of_long_work(running):
    start = time.monotonic()
    running.send("probe spin 100000\r")
    time.sleep(1.0)
    running.send("\x03")
    answer = running.answer(20)
    assert answer["ok"] is False
    assert time.monotonic() - start < 20
    running.good("probe touch 0 4M stride=4K")


def test_interrupt_while_filling(running):
    running.send("probe fill 0 1G\r")
    time.sleep(1.0)
    running.send("\x03")
    assert running.answer(30)["ok"] is False
    assert running.good("sept")["agree"] is True


def test_poweroff_status_and_script_failure():
    status, text, records = run_script("version\n-nonsense\n  # seen by who watches\nversion\npoweroff 7\n")
    assert status == 7
    assert "\n# seen by who watches\r\n" in text
    assert [record["cmd"] for record in records] == ["version", "nonsense", "version", "poweroff"]
    status, _, records = run_script("version\nnonsense\nmem\n")
    assert status not in (0, 124, 125, 126)
    assert "mem" not in [record["cmd"] for record in records]


def test_lines_with_a_dash_never_stop_a_script():
    bad = ["-\xe9t\xe9", "- \x01", "-" + "x" * 1100, "-version =1", "-version key=", "-a=1", "-version a=1 a=2", "-" + "w " * 17]
    status, text, records = run_script("".join(f"{line}\n" for line in bad) + "version\npoweroff 5\n")
    assert status == 5
    assert [record["ok"] for record in records] == [False] * len(bad) + [True, True]
    for shown in ("-\\xc3\\xa9t\\xc3\\xa9", "- \\x01", "xxx... (1101 bytes)", "-version =1", "-version key=", "-a=1"):
        assert f"{shown}\r\nerror: " in text, shown
    status, text, records = run_script("version =1\nmem\n")
    assert status == 1 and "septum> version =1\r\nerror: " in text
    assert "mem" not in [record["cmd"] for record in records]


def test_commands_before_init_are_refused():
    lines = ["td create", "td run", "td stop", "td info", "td destroy", "map 0 4K", "convert 0 4K shared", "split 0 2m",
             "merge 0 2m", "block 0 4k", "unblock 0 4k", "walk 0", "sept", "probe fill 0 4K", "probe spin 1",
             "plan merge 0 2m"]
    status, _, records = run_script("".join(f"-{line}\n" for line in lines) + "poweroff\n")
    assert status == 0
    assert len(records) == len(lines) + 1
    for line, record in zip(lines, records):
        assert record["ok"] is False and record["error"], line


def test_two_run_side_by_side():
    machines = [Septum(), Septum()]
    try:
        for machine in machines:
            machine.wait_for_prompt(150)
        for machine in machines:
            machine.good("tdx init")
        assert [machine.poweroff(status) for status, machine in enumerate(machines, 3)] == [3, 4]
    finally:
        for machine in machines:
            machine.stop()
