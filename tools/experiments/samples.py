"""Samples of experiments in what a console said: a log of tools/run or tools/lab, or the capture of a server's serial line.

A sample is an `@` line of the command `experiment`; anything may stand around it (boot messages, time stamps, control
sequences). What is damaged is a problem with file and line, and never a sample: a line that was cut, that lost its
beginning, that is no JSON or lacks a member; a sample that is missing in the count; an experiment without its last line.
"""
import json
import re

CONTROL = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")
OTHER_COMMAND = re.compile(r'@\{"cmd":"(?!experiment")[^"]*"')
PART_OF_SAMPLE = re.compile(r'"cmd":"experiment"|"sample":[0-9]+,.*"parameters":\{')
# What each sample has, and of which kind.
MEMBERS = {"experiment": str, "platform": str, "seed": int, "sample": int, "parameters": dict}
# Of an experiment's name and its members: they become names of files and columns.
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_ -]*")
TAIL = 24


class Duplicate(ValueError):
    """A member that is there twice: two lines have grown together."""


def _once(pairs):
    names = [name for name, _ in pairs]
    for name in names:
        if names.count(name) > 1:
            raise Duplicate(f"the member {name!r} is there twice")
    return dict(pairs)


DECODER = json.JSONDecoder(object_pairs_hook=_once)


def flatten(value, prefix=""):
    """{"pauses": {"count": 1}} as {"pauses.count": 1}. Lists stay lists."""
    flat = {}
    for name, member in value.items():
        if isinstance(member, dict):
            flat.update(flatten(member, f"{prefix}{name}."))
        else:
            flat[prefix + name] = member
    return flat


def wrong_member(sample):
    """What is wrong with a sample's members, or None."""
    for name, kind in MEMBERS.items():
        if name not in sample:
            return f"the sample has no member {name!r}"
        if not isinstance(sample[name], kind) or isinstance(sample[name], bool):
            return f"the sample's member {name!r} is {json.dumps(sample[name])}, which is no {kind.__name__}"
    if not NAME.fullmatch(sample["experiment"]):
        return f"the experiment has the name {sample['experiment']!r}"
    return None


class Log:
    """The samples and problems of one log. `name` is what messages call it."""

    def __init__(self, name, text):
        self.name = name
        self.samples = []  # flat, with `log` and `line`
        self.problems = []  # texts, each beginning with file and line
        self.damage = []  # those of them that are about damaged lines
        self.open = None  # the experiment that has not said its last line: (name, samples so far, line)
        self.is_damaged = False
        for number, line in enumerate(text.split("\n"), 1):
            for part in CONTROL.sub("", line).split("\r"):
                self._take(number, part)
        self._end_open("the log ends")
        if not self.samples and not self.problems:
            self.problems.append(f"{name}: no sample of an experiment in it")

    def _problem(self, line, text):
        self.problems.append(f"{self.name}:{line}: {text}")

    def _damage(self, line, text):
        self.is_damaged = True
        self._problem(line, text)
        self.damage.append(self.problems[-1])

    def _take(self, number, text):
        at = text.find("@{")
        before = text if at < 0 else text[:at]
        if PART_OF_SAMPLE.search(before):
            self._damage(number, "a sample line has lost its beginning")
        while at >= 0:
            end = self._record(number, text[at:])
            at = text.find("@{", at + end)

    def _record(self, number, text):
        """The record at the start of `text`; returns where to look for the next."""
        try:
            record, end = DECODER.raw_decode(text, 1)
        except (ValueError, RecursionError) as error:
            if not OTHER_COMMAND.match(text):
                self._damage(number, self._why_no_json(text, error))
            return 2
        if record.get("cmd") == "experiment":
            self._experiment(number, record)
        return end

    @staticmethod
    def _why_no_json(text, error):
        following = text.find("@{", 2)
        text = text[:following] if following > 0 else text
        if isinstance(error, Duplicate):
            return f"the sample line is damaged: {error}"
        if not text.rstrip().endswith("}"):
            return f"the sample line is cut: it ends with {text.rstrip()[-TAIL:]!r}"
        if isinstance(error, json.JSONDecodeError):
            return f"the sample line is no JSON: {error.msg} at {text[error.pos:error.pos + TAIL]!r}"
        return "the sample line is no JSON: too deep"

    def _experiment(self, number, record):
        if "sample" in record:
            self._sample(number, record)
        elif "samples" in record:
            self._answer(number, record)
        elif record.get("ok") is False:
            self._problem(number, f"the experiment was refused: {record.get('error')}")

    def _sample(self, number, record):
        wrong = wrong_member(record)
        if wrong:
            self._damage(number, wrong)
            return
        name, count = record["experiment"], record["sample"]
        if self.open and (count == 0 or self.open[0] != name):
            self._end_open(f"the next begins in line {number}")
        done = self.open[1] if self.open else 0
        if count != done and not self.is_damaged:
            self._damage(number, f"sample {count} of {name} does not follow the one before: lines are missing")
        self.is_damaged = False  # it is said once, and counting goes on from here
        self.open = (name, count + 1, number)
        for constant in ("cmd", "ok"):
            record.pop(constant, None)
        self.samples.append({"log": self.name, "line": number, **flatten(record)})

    def _answer(self, number, record):
        name, count = record.get("experiment"), record["samples"]
        done = self.open[1] if self.open and self.open[0] == name else 0
        self.open = None
        if record.get("ok") is not True:
            self._problem(number, f"the experiment {name} failed after {count} samples: {record.get('error')}")
        elif count != done and not self.is_damaged:
            self._damage(number, f"{name} took {count} samples, but {done} of them are in the log")
        self.is_damaged = False

    def _end_open(self, how):
        if self.open and not self.is_damaged:
            name, done, number = self.open
            self._problem(number, f"{how} before the experiment {name} does, after {done} samples")
        self.open = None


def read(path, name=None):
    """The Log of a file; OSError where it cannot be read."""
    return Log(name or str(path), path.read_bytes().decode("utf-8", errors="replace"))
