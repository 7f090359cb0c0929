"""Runs of the lab: build/lab/septum with a profile's numbers and a script, its lines as they come, and what went wrong."""
import json
import pathlib
import signal
import subprocess

CPUS_MAX = 34
MEMORY_GIB_MAX = 8192


class CannotRun(Exception):
    """The text says what is wrong and what is allowed."""


def script_for(words):
    """The console's script that runs one experiment, and ends."""
    for word in words:
        if not word.isprintable() or any(c in word for c in " #\"'\\"):
            raise CannotRun(f"{word!r} is no word of a command")
    return f"tdx init\nexperiment {' '.join(words)}\n"


def is_sample(line):
    return line.startswith('@{"cmd":"experiment"') and '"sample":' in line


class Run:
    """One process; `members` are added to each sample. `jitter`: a seed with which the timer's interrupts come late, 0: they come
    on time. Iterating gives its lines; afterwards `status` is 0 or 1, and `error` says why it is 1."""

    def __init__(self, build, numbers, script, cpus=4, memory_gib=16, files=(), members=None, jitter=0):
        self.program = pathlib.Path(build) / "lab" / "septum"
        self.words = ["--cpus", str(cpus), "--memory", str(memory_gib), "--jitter", str(jitter)]
        for file in files:
            self.words += ["--file", str(file)]
        self.words += [f"{name}={value}" for name, value in numbers.items()]
        self.script = script
        self.end = "".join(f",{json.dumps(k)}:{json.dumps(v)}" for k, v in (members or {}).items()) + "}\n"
        self.status = 1
        self.error = None
        self.failed = None  # the last line that says so

    def __iter__(self):
        try:
            process = subprocess.Popen([str(self.program), *self.words], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                       stderr=subprocess.PIPE, text=True, encoding="latin-1")
        except OSError as error:
            raise CannotRun(f"{self.program}: {error.strerror}; `make` builds it") from error
        with process:
            previous = self._forward_interrupts(process)
            try:
                process.stdin.write(self.script + "poweroff\n")
                process.stdin.close()
                for line in process.stdout:
                    if is_sample(line):
                        yield line.rstrip("\n")[:-1] + self.end
                    else:
                        self._look_at(line)
                        yield line
                self._finish(process)
            finally:
                if process.poll() is None:
                    process.kill()
                if previous is not None:
                    signal.signal(signal.SIGINT, previous)

    @staticmethod
    def _forward_interrupts(process):
        """^C is for the console in the process, which ends the experiment."""
        try:
            return signal.signal(signal.SIGINT, lambda number, frame: process.send_signal(signal.SIGINT))
        except ValueError:  # not the main thread, which no signal comes to
            return None

    def _look_at(self, line):
        if not line.startswith("@{"):
            return
        answer = json.loads(line[1:])
        if answer.get("cmd") == "poweroff":
            self.status = 1 if answer["status"] else 0
        elif not answer["ok"]:
            self.failed = answer

    def _finish(self, process):
        said = process.stderr.read().strip().splitlines()
        process.wait()
        if process.returncode or said:
            self.status = 1
            last = said[-1].removeprefix("lab: ") if said else f"the lab's process ended with status {process.returncode}"
            self.error = last
        elif self.status:
            self.error = self.failed.get("error") if self.failed else "the script failed"
