"""A dump as text, CSV, or JSON in Chrome's trace event format, which Perfetto and chrome://tracing open."""
import csv
import json
import pathlib
import re

STATUS_TABLE = pathlib.Path(__file__).resolve().parent.parent.parent / "tdx" / "abi_status.h"
COLUMNS = ("cpu", "number", "tsc", "us", "took_tsc", "event", "what", "status", "arguments", "in", "out")
PHASE_COMPLETE, PHASE_INSTANT, PHASE_NAME = "X", "i", "M"


def status_names():
    """Names of completion statuses by their upper 32 bits, from the table that the VMM is compiled with."""
    rows = re.findall(r"X\((0x[0-9a-f]{8}), (\w+),", STATUS_TABLE.read_text(encoding="ascii"))
    return {int(code, 16): name for code, name in rows}


class Writer:
    """Words for one dump's records."""

    def __init__(self, dump):
        self.dump = dump
        self.statuses = status_names()
        self.start = min((record.began for record in dump.records), default=0)

    def us(self, ticks):
        return ticks * 1000 / self.dump.tsc_khz if self.dump.tsc_khz else 0.0

    def status(self, raw):
        name = self.statuses.get(raw >> 32, f"{raw >> 32:#x}")
        return f"{name}:{raw & 0xffffffff:#x}" if raw & 0xffffffff else name

    def what(self, record):
        """What kind of its event a record is: the leaf, the step, the exit's reason."""
        for argument, value in record.args.items():
            name = self.dump.name_of(record.event, argument, value)
            if name is not None:
                return name
        return ""

    def arguments(self, record):
        """(argument, text) but for those that what() and the columns of their own tell."""
        skip = ("leaf", "rcx", "rdx", "status") if record.event == "seamcall" else ("status",)
        said = self.what(record)
        for argument, value in record.args.items():
            name = self.dump.name_of(record.event, argument, value)
            if argument not in skip and (name is None or name != said):
                yield argument, name or f"{value:#x}"

    def lost(self):
        """One sentence a CPU whose records are not all here."""
        for cpu in sorted(self.dump.lost):
            if self.dump.lost[cpu]:
                yield f"CPU {cpu}: {self.dump.lost[cpu]} older records are lost (its ring was too small: trace on records=N)"
            if self.dump.left_out[cpu]:
                yield f"CPU {cpu}: {self.dump.left_out[cpu]} older records were left out of the dump (count=N)"


def pairs(items):
    return " ".join(f"{name}={value if isinstance(value, str) else format(value, '#x')}" for name, value in items)


def text(dump, out):
    words = Writer(dump)
    for sentence in words.lost():
        out.write(f"# {sentence}\n")
    for r in dump.records:
        line = f"{words.us(r.began - words.start):14.3f} us  CPU {r.cpu:<3} {r.event:<9} {words.what(r)}"
        if r.event == "seamcall":
            line += f" {pairs(r.inputs.items())} -> {words.status(r.args['status'])} {pairs(r.outputs.items())}"
            line += f" took {words.us(r.took):.3f} us"
        else:
            line += f" {pairs(words.arguments(r))}"
            if "status" in r.args:
                line += f" -> {words.status(r.args['status'])}"
        out.write(line.rstrip() + "\n")


def table(dump, out):
    words = Writer(dump)
    to = csv.writer(out, lineterminator="\n")
    to.writerow(COLUMNS)
    for r in dump.records:
        status = words.status(r.args["status"]) if "status" in r.args else ""
        to.writerow((r.cpu, r.number, r.tsc, f"{words.us(r.began - words.start):.3f}", r.took or "", r.event, words.what(r), status,
                     pairs(words.arguments(r)), pairs(r.inputs.items()), pairs(r.outputs.items())))


def chrome_event(words, r):
    event = {"name": words.what(r) or r.event, "cat": r.event, "pid": 1, "tid": r.cpu, "ts": round(words.us(r.began - words.start), 3),
             "args": dict(words.arguments(r))}
    if "status" in r.args:
        event["args"]["status"] = words.status(r.args["status"])
    if r.event == "seamcall":
        event["args"].update({f"in {name}": f"{value:#x}" for name, value in r.inputs.items()})
        event["args"].update({f"out {name}": f"{value:#x}" for name, value in r.outputs.items()})
        return event | {"ph": PHASE_COMPLETE, "dur": round(words.us(r.took), 3)}
    return event | {"ph": PHASE_INSTANT, "s": "t"}


def chrome(dump, out):
    words = Writer(dump)
    events = [{"ph": PHASE_NAME, "name": "process_name", "pid": 1, "args": {"name": "Septum"}}]
    events += [{"ph": PHASE_NAME, "name": "thread_name", "pid": 1, "tid": cpu, "args": {"name": f"CPU {cpu}"}}
               for cpu in sorted({record.cpu for record in dump.records})]
    events += [chrome_event(words, record) for record in dump.records]
    json.dump({"traceEvents": events, "displayTimeUnit": "ns", "otherData": {"lost": list(words.lost())}}, out)
    out.write("\n")
