"""tools/capture on a pseudo terminal in the place of a serial device, and on pipes; what reads its logs. Without QEMU."""
import os
import pathlib
import pty
import re
import signal
import subprocess
import sys
import termios
import tty

import pytest

from conftest import ROOT, wait_until

sys.path.insert(0, str(ROOT / "tools"))

from experiments.samples import Log  # noqa: E402
from runner.stamp import Stamper, strip  # noqa: E402

TOOL = ROOT / "tools" / "capture"
RECORDED = pathlib.Path(__file__).parent / "report" / "console.log"
LINE = re.compile(r"\[\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z\] .*")


def start(*arguments, **more):
    streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **more}
    return subprocess.Popen([str(TOOL), *map(str, arguments)], **streams)


def finish(process):
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err.decode()


def text_of(log):
    return log.read_bytes().decode("latin-1")


@pytest.fixture
def line():
    """(the server's end, name of the device) of a serial line."""
    server, device = pty.openpty()
    tty.setraw(server)
    yield server, os.ttyname(device)
    for fd in (server, device):
        try:
            os.close(fd)
        except OSError:
            pass


def test_each_line_has_the_time_of_its_first_byte():
    times = iter(["<1> ", "<2> ", "<3> "])
    stamper = Stamper(lambda: next(times))
    pieces = [b"one", b" and\r\ntw", b"o\r 3 of 9\r 4 of 9", b"\r\n", b"\xff"]
    assert b"".join(map(stamper.take, pieces)) == b"<1> one and\r\n<2> two\r 3 of 9\r 4 of 9\r\n<3> \xff"
    assert stamper.is_inside


def test_pipe_to_its_end(tmp_path):
    log = tmp_path / "a.log"
    process = start("-", log, stdin=subprocess.PIPE)
    process.stdin.write(b"septum> mem\r\n@{}\r\nseptum> ")
    status, out, err = finish(process)
    assert (status, out) == (0, b"septum> mem\r\n@{}\r\nseptum> ") and f"capture: 26 bytes in {log}" in err
    lines = text_of(log).split("\n")
    assert all(LINE.fullmatch(text.rstrip("\r")) for text in lines[:3]) and lines[3:] == [""]
    assert strip(text_of(log)) == "septum> mem\r\n@{}\r\nseptum> \n"
    assert finish(start("-", log))[0] == 0 and strip(text_of(log)).startswith("septum> mem")  # a log is gone on with


def test_device_is_raw_and_what_is_typed_reaches_it(line, tmp_path):
    server, device = line
    leader, terminal = pty.openpty()
    log = tmp_path / "a.log"
    process = start(device, log, "--speed", "57600", stdin=terminal)
    wait_until(log.exists, 20)
    os.write(server, b"septum> ")
    wait_until(lambda: log.read_bytes().endswith(b"septum> "), 20)
    with open(device, "rb", buffering=0) as port:
        mode = termios.tcgetattr(port)
    assert mode[4] == mode[5] == termios.B57600
    assert not mode[0] & (termios.IXON | termios.IXOFF | termios.ICRNL) and not mode[2] & termios.CRTSCTS
    assert mode[2] & termios.CLOCAL and not mode[3] & (termios.ECHO | termios.ICANON | termios.ISIG)
    os.write(leader, b"mem\x03\r\x01\x01")
    typed = b""
    while len(typed) < 6:
        typed += os.read(server, 100)
    assert typed == b"mem\x03\r\x01"
    os.write(server, bytes(range(256)))
    wait_until(lambda: bytes(range(11, 256)) in log.read_bytes(), 20)  # also XON, XOFF and DEL, as they are
    os.write(leader, b"\x01x")
    status, _, err = finish(process)
    assert status == 0 and "264 bytes" in err
    os.close(leader)
    os.close(terminal)


def test_nothing_is_typed_from_what_is_no_terminal(line, tmp_path):
    server, device = line
    process = start(device, tmp_path / "a.log", stdin=subprocess.PIPE)
    wait_until((tmp_path / "a.log").exists, 20)
    process.stdin.write(b"poweroff\r")
    process.stdin.flush()
    os.write(server, b"hello")
    assert process.stdout.read(5) == b"hello"
    process.send_signal(signal.SIGTERM)
    assert finish(process)[0] == 0
    os.set_blocking(server, False)
    with pytest.raises(BlockingIOError):
        os.read(server, 1)


def test_much_at_once_is_all_there(line, tmp_path):
    server, device = line
    log = tmp_path / "a.log"
    process = start(device, log, stdout=subprocess.DEVNULL)
    wait_until(log.exists, 20)
    text = RECORDED.read_bytes()
    sent = 0
    while sent < len(text):
        sent += os.write(server, text[sent:])
    wait_until(lambda: len(strip(text_of(log))) >= len(text), 60)
    process.send_signal(signal.SIGINT)
    assert finish(process)[0] == 0
    assert strip(text_of(log)).rstrip("\n") == text.decode("latin-1").rstrip("\n")


def test_reports_read_captured_logs(tmp_path):
    log = tmp_path / "a.log"
    with open(RECORDED, "rb") as text:
        assert finish(start("-", log, stdin=text))[0] == 0
    captured, recorded = Log("a.log", log.read_text(encoding="utf-8")), Log("a.log", RECORDED.read_text(encoding="utf-8"))
    assert captured.problems == recorded.problems == [] and captured.samples == recorded.samples != []


def test_log_goes_on_when_nobody_looks_on(tmp_path):
    log = tmp_path / "a.log"
    process = start("-", log, stdin=subprocess.PIPE)
    process.stdout.close()
    for text in (b"one\n", b"two\n"):
        process.stdin.write(text)
        process.stdin.flush()
        wait_until(lambda: log.exists() and log.read_bytes().endswith(text), 20)
    process.stdin.close()
    assert process.wait(20) == 0 and strip(text_of(log)) == "one\ntwo\n"
    process.stderr.close()


def test_device_that_goes_is_told(line, tmp_path):
    server, device = line
    process = start(device, tmp_path / "a.log")
    wait_until((tmp_path / "a.log").exists, 20)
    os.write(server, b"last words")
    assert process.stdout.read(10) == b"last words"
    os.close(server)
    status, _, err = finish(process)
    assert status == 1 and f"; {device} is gone" in err


def test_second_reader_is_refused(line, tmp_path):
    _, device = line
    process = start(device, tmp_path / "a.log")
    wait_until((tmp_path / "a.log").exists, 20)
    status, _, err = finish(start(device, tmp_path / "b.log"))
    assert (status, err) == (2, f"capture: {device}: another program reads it, and each would get a part\n")
    assert not (tmp_path / "b.log").exists()
    process.kill()
    process.wait()


@pytest.mark.parametrize("arguments, words", [
    (["/dev/ttyNOWHERE"], "capture: /dev/ttyNOWHERE: there is no such device; there are "),
    (["/dev/null"], "capture: /dev/null is no serial device"),
    (["-", "/nowhere/a.log"], "capture: /nowhere/a.log: No such file or directory"),
    (["-", "--speed", "12345"], "argument --speed: a speed that serial lines have: 50, 75, "),
    ([], "the following arguments are required: DEVICE"),
])
def test_what_cannot_be_read_is_named(arguments, words, tmp_path):
    status, _, err = finish(start(*arguments, cwd=tmp_path))
    assert status == 2 and words in err and list(tmp_path.iterdir()) == []
