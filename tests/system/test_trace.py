"""The trace: dumped by the platform, decoded by tools/trace in all its forms, replayed against the model; what is lost
is said, what is damaged is refused."""
import binascii
import csv
import io
import json
import re
import subprocess
import sys
import types

import pytest

from conftest import BUILD, ROOT, Septum, run_script

sys.path.insert(0, str(ROOT / "tools"))
from runner.stamp import Stamper  # noqa: E402
from tracer import replay  # noqa: E402

TOOL = ROOT / "tools" / "trace"
PAGES = 1024
SCRIPT = f"""\
trace on records=16384
tdx init
td create mem=64M payload=probe
td run
policy ready
probe accept 0 {PAGES * 4}K 4k
probe convert 200000 8K shared
probe convert 200000 8K private
walk 0
stats
trace dump
trace on records=256
probe accept 800000 256K 4k
trace dump
trace dump count=10
-trace dump form=binary
-trace dump count=0
-trace on records=1
trace dump form=text count=8
"""


@pytest.fixture(scope="module")
def run():
    status, out, records = run_script(SCRIPT)
    assert status == 0, out[-2000:]
    return out, records


@pytest.fixture(scope="module")
def log(run, tmp_path_factory):
    path = tmp_path_factory.mktemp("trace") / "console.log"
    path.write_text(run[0], encoding="latin-1", newline="")
    return path


def tool(*args, status=0, **more):
    done = subprocess.run([str(TOOL), *map(str, args)], capture_output=True, text=True, timeout=120, check=False, **more)
    assert done.returncode == status, done.stdout[-2000:] + done.stderr
    return done


def test_conversions_become_a_list(log):
    """A line of `experiment policies list=`: when, where, how much, to what."""
    lines = [line.split() for line in tool("conversions", "--dump", "1", log).stdout.splitlines() if not line.startswith("#")]
    assert [line[1:] for line in lines] == [["200000", "8K", "shared"], ["200000", "8K", "private", "touch"]]
    assert lines[0][0] == "0" and int(lines[1][0]) >= 0


def answers(run, cmd):
    return [record for record in run[1] if record["cmd"] == cmd]


def test_csv_counts_what_stats_counts(run, log):
    rows = list(csv.DictReader(io.StringIO(tool("csv", log, "--dump", 1).stdout)))
    counts = {}
    for row in rows:
        if row["event"] == "seamcall":
            counts[row["what"]] = counts.get(row["what"], 0) + 1
            assert int(row["took_tsc"]) > 0 and row["status"]
    stats = dict(answers(run, "stats")[0]["seamcalls"])
    assert counts == {leaf: n for leaf, n in stats.items() if n}
    assert sum(1 for row in rows if row["event"] == "td_exit") == sum(answers(run, "stats")[0]["exits"].values())
    augs = [row for row in rows if row["event"] == "step" and row["what"] == "AUG"]
    assert len(augs) == counts["TDH.MEM.PAGE.AUG"]
    assert {row["what"] for row in rows if row["event"] == "decision"} >= {"queue", "block", "merge"}
    times = [float(row["us"]) + int(row["took_tsc"] or 0) / 1e9 for row in rows]
    assert len(times) > PAGES * 5


def test_registers_are_those_of_the_call(log):
    rows = list(csv.DictReader(io.StringIO(tool("csv", log, "--dump", 1).stdout)))
    augs = [row for row in rows if row["what"] == "TDH.MEM.PAGE.AUG"]
    hpas = [int(re.search(r"r8=(0x[0-9a-f]+)", row["in"])[1], 16) for row in augs]
    gpas = [int(re.search(r"rcx=(0x[0-9a-f]+)", row["in"])[1], 16) & ~7 for row in augs]
    bases = {hpa - gpa for hpa, gpa in zip(hpas, gpas)}
    assert len(bases) == 1, "memory in place has one distance from GPA to HPA"
    blocks = [row for row in rows if row["what"] == "TDH.MEM.RANGE.BLOCK"]
    assert blocks and all("rcx=" in row["in"] and "rdx=" in row["in"] for row in blocks)


def test_text_and_chrome_hold_every_record(log):
    rows = list(csv.DictReader(io.StringIO(tool("csv", log, "--dump", 1).stdout)))
    text = tool("text", log, "--dump", 1).stdout.splitlines()
    chrome = json.loads(tool("chrome", log, "--dump", 1).stdout)
    events = [event for event in chrome["traceEvents"] if event["ph"] != "M"]
    assert len(text) == len(events) == len(rows)
    assert any("TDH.MEM.PAGE.PROMOTE" in line and "-> TDX_SUCCESS" in line for line in text)
    for event in events:
        assert event["ph"] == ("X" if event["cat"] == "seamcall" else "i") and event["ts"] >= 0 and event["pid"] == 1
        assert event["ph"] == "i" or event["dur"] > 0
    assert chrome["otherData"]["lost"] == []


def test_captured_log_reads_the_same(log, tmp_path):
    captured = tmp_path / "captured.log"
    captured.write_bytes(Stamper().take(log.read_bytes()))
    assert tool("text", captured, "--dump", 1).stdout == tool("text", log, "--dump", 1).stdout


def test_lost_records_are_said(run, log):
    first, second, third = answers(run, "trace dump")[:3]
    assert first["lost"] == 0
    assert second["records"] == 256 and second["lost"] > 0
    done = tool("text", log, "--dump", 2)
    assert f"CPU 0: {second['lost']} older records are lost" in done.stdout and str(second["lost"]) in done.stderr
    chrome = json.loads(tool("chrome", log, "--dump", 2).stdout)
    assert str(second["lost"]) in chrome["otherData"]["lost"][0]
    assert third["records"] == 10 and third["lost"] > 0
    assert f"CPU 0: {256 - 10} older records were left out of the dump" in tool("text", log, "--dump", 3).stdout


def test_bad_words_of_the_console_are_named(run):
    bad = [record["error"] for record in run[1] if not record["ok"]]
    assert len(bad) == 3
    assert "form=binary" in bad[0] and "compact" in bad[0]
    assert "count" in bad[1] and "records" in bad[2]
    assert answers(run, "trace dump")[-1]["records"] == 8


def refused(path, *words):
    done = tool("text", path, status=2)
    assert done.stdout == "" and done.stderr.count("\n") == 1, done.stderr
    for word in words:
        assert word in done.stderr, done.stderr


def test_damaged_and_cut_dumps_name_the_line(log, tmp_path):
    lines = log.read_bytes().split(b"\n")
    begin = next(i for i, line in enumerate(lines) if line.startswith(b"~0 "))
    end = next(i for i, line in enumerate(lines) if re.match(rb"~[0-9a-f]+ E ", line))
    bad = tmp_path / "bad.log"

    def write(changed):
        bad.write_bytes(b"\n".join(changed))

    middle = (begin + end) // 2
    write(lines[:middle] + [lines[middle].replace(b" R ", b" R 1", 1)] + lines[middle + 1:])
    refused(bad, f"{bad}:{middle + 1}:", "damaged")
    write(lines[:middle] + lines[middle + 1:])
    refused(bad, f"{bad}:{middle + 1}:", "missing")
    write(lines[:middle] + [lines[middle][:-6]])
    refused(bad, f"{bad}:{middle + 1}:", "damaged")
    write(lines[:middle])
    refused(bad, f"{bad}:{middle}:", "the log ends in the middle of a dump")
    write(lines[:middle] + lines[begin:])
    refused(bad, f"{bad}:{middle + 1}:", "has no end")
    write(lines[:begin])
    refused(bad, f"{bad}:{begin}:", "no dump")


# --- replay ---

def replayed(*args, status=0):
    """(SEAMCALLs, answers that are the same, answers, left out, ACCEPTs inferred)"""
    done = tool("replay", "--build", BUILD, *args, status=status)
    last = done.stdout.splitlines()[-1]
    assert re.fullmatch(r"\d+ SEAMCALLs and their TD exits: \d+ of \d+ answers are the same; "
                        r"\d+ that met BUSY left out, \d+ ACCEPTs inferred", last), done.stdout
    return done.stdout, tuple(int(number) for number in re.findall(r"\b\d+\b", last))


def test_the_model_gives_the_same_answers(run, log):
    _, (calls, same, answered, left_out, inferred) = replayed(log, "--dump", 1)
    exits = sum(answers(run, "stats")[0]["exits"].values())
    assert same == answered == calls + exits and left_out == 0
    assert calls == sum(answers(run, "stats")[0]["seamcalls"].values())
    assert inferred >= PAGES


def resigned(lines, at, content):
    number = lines[at][1:].split(b" ", 1)[0]
    body = number + b" " + content
    return lines[:at] + [b"~" + body + f"*{binascii.crc_hqx(body, 0):04x}".encode()] + lines[at + 1:]


def test_another_answer_is_found(log, tmp_path):
    lines = log.read_bytes().split(b"\n")
    events = [match for match in (re.match(rb"~[0-9a-f]+ K ([0-9a-f]+) seamcall ", line) for line in lines) if match]
    aug = next(i for i, line in enumerate(lines) if re.match(rb"~[0-9a-f]+ R " + events[0][1] + rb" [0-9a-f]+ 6 ", line))
    words = lines[aug].split(b"*")[0].split(b" ")[1:]
    assert len(words) == 6, "leaf, RCX, RDX, and a status of zero that is left out"
    bad = tmp_path / "bad.log"
    bad.write_bytes(b"\n".join(resigned(lines, aug, b" ".join(words + [b"c000010000000001"]))))
    text, (_, same, answered, _, _) = replayed(bad, "--dump", 1, status=1)
    assert same < answered
    assert re.search(r"trace#\d+ TDH.MEM.PAGE.AUG: expected/got status c000010000000001/0000000000000000", text), text


TWO_TDS = """\
trace on records=65536
tdx init
td create mem=64M payload=probe
td run
map 0 4M 2m
probe accept 0 4M 4k
probe accept 400000 2M 2m
probe fill 0 6M
probe convert 200000 8K shared
probe convert 200000 8K private
map 800000 2M 4k
probe accept 800000 2M 4k
merge 800000 2m
walk 800000
split 400000 2m
dirty on
probe touch 400000 256K
dirty get
dirty off
sept
td destroy
td create mem=64M payload=probe
td run
probe fill 0 2M
trace dump
"""


def test_two_tds_replay(tmp_path):
    status, out, _ = run_script(TWO_TDS)
    assert status == 0, out[-2000:]
    path = tmp_path / "console.log"
    path.write_text(out, encoding="latin-1", newline="")
    text, (calls, same, answered, _, inferred) = replayed(path)
    assert same == answered > calls > 4000, text
    assert inferred >= 1024  # 4K pages that it accepted without an exit


TWO_VCPUS = """\
trace on records=65536
tdx init
td create mem=64M payload=probe vcpus=2
td run
policy hot delay=0 rest=1 ttl=20
probe accept 0 4M 4k cpu=0
probe touch 0 1M order=random count=30000 cpu=0 &
probe convert 100000 16K shared cpu=1
probe convert 100000 16K private cpu=1
probe convert 300000 8K shared cpu=1
probe convert 300000 8K private cpu=1
probe touch 0 3M order=random count=30000 seed=2 cpu=1 &
dirty on
dirty get
dirty off
wait all
policy none
sept
td destroy
trace dump
"""


def test_vcpus_that_meet_replay(tmp_path):
    """Calls of several CPUs at once may have met in another order than the one they are replayed in; then that is said."""
    status, out, records = run_script(TWO_VCPUS, "--smp", "4")
    assert status == 0, out[-2000:]
    path = tmp_path / "console.log"
    path.write_text(out, encoding="latin-1", newline="")
    done = subprocess.run([str(TOOL), "replay", "--build", str(BUILD), str(path)], capture_output=True, text=True, timeout=120, check=False)
    differences = [line for line in done.stdout.splitlines() if line.startswith("corpus.jsonl trace#")]
    assert done.returncode == (1 if differences else 0), done.stdout + done.stderr
    assert not differences or differences[0].endswith("the trace does not say which came first"), done.stdout
    calls, same, answered = (int(number) for number in re.findall(r"\d+", done.stdout.splitlines()[-1])[:3])
    assert answered > calls > 2000 and same + len(differences) >= answered
    cpus = {int(row["cpu"]) for row in csv.DictReader(io.StringIO(tool("csv", path).stdout)) if row["what"] == "TDH.VP.ENTER"}
    assert cpus == {1, 2}


def call(cpu, began, ended, leaf=7):
    return types.SimpleNamespace(event="seamcall", cpu=cpu, began=began, tsc=ended, args={"leaf": leaf, "status": 0})


@pytest.mark.parametrize("other, meets", [
    (call(1, 10, 19), False), (call(1, 10, 20), True), (call(1, 25, 26), True), (call(1, 30, 90), True), (call(1, 31, 40), False),
    (call(0, 25, 26), False),
    (call(1, 10, 40, leaf=0), True),  # a vCPU that was inside, or had left and was not back yet
])
def test_calls_that_were_under_way_together(other, meets):
    differs = call(0, 20, 30)
    converter = replay.Converter(types.SimpleNamespace(records=[differs, other]))
    assert (other in converter.beside(differs)) == meets


def cannot(path, words, *args):
    done = tool("replay", path, *args, status=3)
    assert done.stderr.startswith("trace: cannot be replayed: ") and words in done.stderr, done.stderr


def test_what_is_missing_for_a_replay_is_said(log, tmp_path):
    cannot(log, "older records of CPU 0 are missing", "--dump", 2)
    cannot(log, "older records of CPU 0 are missing", "--dump", 3)
    keys = ["V 1 1 f4240", "K 0 seamcall leaf rcx rdx status", "N 0 0 6 TDH.MEM.PAGE.AUG", "K 1 regs which v0 v1 v2"]
    part = tmp_path / "part.log"
    for contents, words in ((["E 0"], "no SEAMCALL"), (["C 0 0 2 0", "R 0 1 6", "R 1 0", "E 2"], "TDH.MEM.PAGE.AUG, not TDH.SYS.INIT"),
                            (["C 0 0 2 0", "R 0 1 21", "R 1 0", "E 2"], "the platform is not described")):
        part.write_bytes(b"\n".join(signed(number, content) for number, content in enumerate(keys + contents)) + b"\n")
        cannot(part, words)
    missing = tool("replay", log, "--dump", 1, "--build", tmp_path, status=2)
    assert "conformance" in missing.stderr


def test_a_dump_that_is_stopped_says_so(tmp_path):
    machine = Septum("--log", str(tmp_path / "console.log"))
    try:
        machine.wait_for_prompt()
        machine.good("trace on records=65536")
        machine.good("tdx init")
        machine.send("trace dump\r")
        machine.child.expect("~0 V ")
        machine.send("\x03")
        assert "^C" in machine.answer()["error"]
        assert machine.poweroff() == 0
    finally:
        machine.stop()
    tool("text", tmp_path / "console.log", status=2)


def signed(number, content):
    body = f"{number:x} {content}".encode()
    return b"~" + body + f"*{binascii.crc_hqx(body, 0):04x}".encode()


@pytest.mark.parametrize("contents, words", [
    (["V 9 1 f4240"], ("form 9", "form 1")),
    (["V 1 1 f4240", "Q 1"], ("'Q'",)),
    (["R 0 1"], ("'R'",)),
    (["V 1 1 f4240", "K 0 seamcall leaf rcx rdx status", "R 0 1"], ("belongs to no CPU",)),
    (["V 1 1 f4240", "K 0 seamcall leaf rcx rdx status", "C 0 0 2 0", "R 0 1", "E 1"], ("1 records of CPU 0 are missing",)),
    (["V 1 1 f4240", "K 0 seamcall leaf rcx rdx status", "C 0 0 1 0", "R 7 1"], ("not understood",)),
    (["V 1 1 f4240", "K 0 seamcall leaf rcx rdx status", "C 0 0 1 0", "R 0 1 1 2 3 4 5"], ("not understood",)),
    (["V 1 1 f4240", "C zero"], ("not understood",)),
    (["V 1 1 f4240", "E 5"], ("5 records were dumped, 0 are here",)),
])
def test_lines_that_no_septum_writes_are_refused(contents, words, tmp_path):
    bad = tmp_path / "bad.log"
    bad.write_bytes(b"\n".join(signed(number, content) for number, content in enumerate(contents)) + b"\n")
    refused(bad, f"{bad}:{len(contents)}:", *words)


def test_the_tool_refuses_nonsense(log, tmp_path):
    assert "nonsense" in tool("nonsense", log, status=2).stderr
    assert "--dump 9" in tool("text", log, "--dump", 9, status=2).stderr
    assert "missing.log" in tool("text", tmp_path / "missing.log", status=2).stderr
    tool("text", tmp_path, status=2)
    assert tool("text", "-", input=log.read_text(encoding="latin-1")).stdout == tool("text", log).stdout
