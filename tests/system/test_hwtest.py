"""tools/hwtest: the list of tests that need a machine with TDX, run on the simulated platform from the image of `make image`,
captured and compared; what is damaged in a log or in the list."""
import re
import subprocess

import pytest

from conftest import BUILD, ROOT, RUN

TOOL = ROOT / "tools" / "hwtest"
DOCS = ROOT / "docs" / "server.md"
LIMIT_S = 600
OF_HARDWARE = ["  version: hypervisor = none, but is \"SeptumSimTDX\" (of hardware)",
               r"  tdx init: text ~ TDX module \S+, build [1-9][0-9]* of 20[0-9]{6}, but is ",
               "  mem: nodes.*.total_bytes > 0, but is not in the answer (of hardware)",
               "  experiment latency rounds=1 lives=1: each.*.platform = none, but is \"SeptumSimTDX\" (of hardware)",
               "  experiment tlb least=16 most=16 count=1000: each.*.platform = none, but is \"SeptumSimTDX\" (of hardware)"]


def hwtest(*arguments):
    done = subprocess.run([str(TOOL), *map(str, arguments)], capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stdout.splitlines(), done.stderr


@pytest.fixture(scope="module")
def captured(tmp_path_factory):
    """The image on AHCI, its script of the list, and tools/capture behind the console."""
    log = tmp_path_factory.mktemp("hwtest") / "server.log"
    command = [str(RUN), "--build", str(BUILD), "--image", str(BUILD / "septum-sim.img"), "--storage", "ahci", "--smp", "3",
               "--timeout", str(LIMIT_S)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as machine:
        capture = subprocess.Popen([str(ROOT / "tools" / "capture"), "-", str(log)], stdin=machine.stdout,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        machine.stdout.close()
        machine.stdin.write(b"script hwtest.sep\n")
        machine.stdin.close()
        assert machine.wait(LIMIT_S + 30) == 0, log.read_text(encoding="latin-1")[-3000:]
        assert capture.wait(60) == 0
    return log


def test_simulated_platform_has_all_but_what_is_of_hardware(captured):
    status, lines, error = hwtest(captured)
    failures = [line for line in lines if line.startswith("  ")]
    assert status == 1 and error == "" and len(failures) == len(OF_HARDWARE), lines
    assert all(line.startswith(words) for line, words in zip(failures, OF_HARDWARE)), failures
    assert lines[-1].endswith("hold, 5 do not, 5 of them of hardware; by hand 0 of 4")
    assert int(lines[-1].split()[1]) > 80


def test_hardware_holds(captured, tmp_path):
    """The same log with what a server says in those places, and what is done by hand."""
    text = captured.read_text(encoding="latin-1").replace("SeptumSimTDX", "none").replace("build 0 of", "build 698 of")
    text = text.replace('"nodes":[]', '"nodes":[{"node":0,"total_bytes":5275631616}]')
    by_hand = ["21 ok, 0 missing, 2 unknown before the start", "this machine is not ready for TDX:", '@{"cmd":"reboot","ok":true}',
               '@{"cmd":"tdx init","ok":true}', "console: I/O port 0x2f8, 115200 baud (by SPCR)"]
    log = tmp_path / "server.log"
    log.write_text(text + "\n".join(by_hand) + "\n", encoding="latin-1")
    status, lines, _ = hwtest(log)
    assert status == 0 and len(lines) == 1 and lines[0].endswith("hold, 0 do not, 0 of them of hardware; by hand 4 of 4")


@pytest.mark.parametrize("old, new, words", [
    (r'"bad_bytes":0(?=.*"touched":0)', '"bad_bytes":8', "  probe verify 0 64M seed=1 cpu=1: bad_bytes = 0, but is 8"),
    ('"agree":true', '"agree":false', "  walk 600000: agree = true, but is false"),
    ('"module_version":"1.5.01"', '"module_version":"1.0.03"', r'  tdx init: module_version ~ ^(1\.5|2\.0)\., but is "1.0.03"'),
    ('"states":."console","idle"', '"states":["console","failed"', '  cpus: states.* != failed, but is "failed"'),
    ('@{"cmd":"merge","ok":true', '@{"cmd":"merge","ok":false,"error":"no"', "  merge 600000 2m: failed: no"),
    ('@{"cmd":"sept"', '@{"cmd":"se', "  sept: was not run, or has no answer"),
    ('septum> -split', 'septum> -spli', "  split 0 1g: was not run, or has no answer"),
    ('"free_bytes_before":', '"free_bytes_before":1', "  td destroy: free_bytes = .free_bytes_before, but is "),
    (r'"1g":\d+(?=},"walk_cycles")', '"1G":1',
     "  probe touch 0 64M order=random count=10000 write=0: walks.1g > 0, but is not in the answer"),
])
def test_what_is_wrong_in_a_log_is_named(captured, tmp_path, old, new, words):
    text, count = re.subn(old, new, captured.read_text(encoding="latin-1"))
    assert count
    log = tmp_path / "server.log"
    log.write_text(text, encoding="latin-1")
    status, lines, _ = hwtest(log)
    assert status == 1 and any(line.startswith(words) for line in lines), lines
    failed, of_hardware = re.search(r"(\d+) do not, (\d+) of them of hardware", lines[-1]).groups()
    assert int(failed) > int(of_hardware) == len(OF_HARDWARE)


def test_last_run_of_a_log_counts(captured, tmp_path):
    text = captured.read_text(encoding="latin-1")
    log = tmp_path / "server.log"
    log.write_text(text.replace('"bad_bytes":0', '"bad_bytes":8') + text, encoding="latin-1")
    assert hwtest(log)[1] == hwtest(captured)[1]
    assert hwtest(captured, log)[1] == hwtest(captured)[1]


def test_docs_have_the_list(tmp_path):
    docs = tmp_path / "server.md"
    docs.write_text(DOCS.read_text(encoding="utf-8"), encoding="utf-8")
    assert hwtest("--docs", docs)[0] == 0
    assert docs.read_text(encoding="utf-8") == DOCS.read_text(encoding="utf-8"), "`make hwtest-docs` writes them"


@pytest.mark.parametrize("text, words", [
    ("", ": no command in it"),
    ("#? ok = true\n", ": no command behind the last expectation"),
    ("mem\n", ":1: neither an expectation above a command, nor a command that begins with '-': 'mem'"),
    ("#? ok is true\n-mem\n", ":1: neither an expectation"),
    ("#? ok = true\n\n-mem\n", ":2: neither an expectation"),
    ("-mem\n#= something\n", ":2: neither an expectation"),
    ("#? text ~ (\n-mem\n", ":1: '(' is no regular expression: missing )"),
])
def test_damaged_list_is_refused(tmp_path, text, words):
    path = tmp_path / "list.sep"
    path.write_text(text)
    status, _, error = hwtest("--list", path, tmp_path / "no.log")
    assert status == 2 and error.startswith(f"hwtest: {path}{words}")


def test_refused_command_lines(tmp_path):
    assert hwtest()[0] == 2
    assert hwtest("/nowhere/a.log")[::2] == (2, "hwtest: /nowhere/a.log: No such file or directory\n")
    (tmp_path / "a.md").write_text("nothing")
    assert hwtest("--docs", tmp_path / "a.md")[2] == f"hwtest: {tmp_path}/a.md: no <!--hwtest--> ... <!--/hwtest--> in it\n"
