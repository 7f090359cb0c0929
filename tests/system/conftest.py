"""What the system tests share: where things are, one booted Septum for many tests, and its console as an object."""
import json
import os
import pathlib
import re
import subprocess
import time

import pexpect
import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
RUN = ROOT / "tools" / "run"
BUILD = pathlib.Path(os.environ.get("SEPTUM_BUILD", ROOT / "build"))
PROMPT = "septum> "
# Generous: the machine that runs the tests may be a busy one. Time limits guard against hanging, not against slowness.
BOOT_S = 90
COMMAND_S = 60


def wait_until(condition, limit_s):
    end = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.02)


def is_running(pid):
    """True for a process that is there and no zombie."""
    try:
        stat = pathlib.Path(f"/proc/{pid}/stat").read_text(encoding="ascii")
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rsplit(")", 1)[1].split()[0] != "Z"


class Answer(dict):
    """The `@` line of one command, with what was printed before it in `text`."""

    text = ""


class Septum:
    """A Septum at its prompt."""

    def __init__(self, *options, timeout=600):
        command = ["--build", str(BUILD), "--timeout", str(timeout), *options]
        self.start = time.monotonic()
        self.child = pexpect.spawn(str(RUN), command, timeout=BOOT_S, encoding="latin-1", echo=False, dimensions=(50, 200))
        self.child.delaybeforesend = None
        self.boot_text = ""

    def wait_for_prompt(self, limit=BOOT_S):
        found = self.child.expect_exact([PROMPT, "UEFI Interactive Shell", pexpect.EOF], timeout=limit)
        self.boot_text = self.child.before
        assert found == 0, f"Septum did not start:\n{self.boot_text[-2000:]}"
        return self

    def send(self, text):
        self.child.send(text)

    def answer(self, limit=COMMAND_S):
        """The next `@` line, and the prompt after it."""
        self.child.expect(r"\n@(\{[^\r\n]*\})\r?(?=\n)", timeout=limit)
        answer = Answer(json.loads(self.child.match.group(1)))
        answer.text = self.child.before
        self.child.expect_exact(PROMPT, timeout=limit)
        return answer

    def command(self, line, limit=COMMAND_S):
        self.send(line + "\r")
        return self.answer(limit)

    def good(self, line, limit=COMMAND_S):
        answer = self.command(line, limit)
        assert answer["ok"] is True, f"{line}: {answer}"
        return answer

    def bad(self, line, limit=COMMAND_S):
        answer = self.command(line, limit)
        assert answer["ok"] is False and answer["error"], f"{line}: {answer}"
        return answer

    def poweroff(self, status=0):
        self.send(f"poweroff {status}\r")
        self.child.expect(pexpect.EOF, timeout=30)
        self.child.close()
        return self.child.exitstatus

    def stop(self):
        self.child.close(force=True)


@pytest.fixture(scope="module")
def septum():
    """One boot for a whole module of tests, TDX initialised."""
    machine = Septum()
    try:
        machine.wait_for_prompt()
        machine.good("tdx init")
        yield machine
    finally:
        machine.stop()


def run_script(text, *options, limit=300):
    """(exit status, console text, the `@` records) of a script run to its end."""
    done = subprocess.run(
        [str(RUN), "--build", str(BUILD), "--timeout", str(limit), "--script", "-", *options],
        input=text.encode(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=limit + 30, check=False)
    out = done.stdout.decode("latin-1")
    records = [json.loads(match) for match in re.findall(r"^@(\{.*\})\s*$", out, re.MULTILINE)]
    return done.returncode, out, records
