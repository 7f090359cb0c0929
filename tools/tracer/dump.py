"""Reads what `trace dump` printed (kernel/trace_dump.h) out of a log of the serial console."""
import binascii
import dataclasses
import re

from runner.stamp import strip

FORM = 1
LINE = re.compile(r"^~([0-9a-f]+) (.*)\*([0-9a-f]{4})$")
# TRACE_REGS: five bits name a register, the fifth says that it came out; the call's time stands above three of them.
REGISTERS = ("rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15")
REG_BITS = 5
REG_OUT = 16
TOOK_SHIFT = 16


class Damaged(Exception):
    """The log holds no whole dump; says in which line it ends to be one."""


@dataclasses.dataclass
class Record:
    cpu: int
    number: int  # of this CPU's records since `trace clear`
    tsc: int  # when it was written; a SEAMCALL's, when it had returned
    event: str
    args: dict  # by the argument's name
    inputs: dict = dataclasses.field(default_factory=dict)  # registers of a SEAMCALL, but RAX
    outputs: dict = dataclasses.field(default_factory=dict)  # those that it changed
    took: int = 0

    @property
    def began(self):
        return self.tsc - self.took


@dataclasses.dataclass
class Dump:
    cpus: int
    tsc_khz: int
    platform: list = dataclasses.field(default_factory=list)  # lists of words
    events: dict = dataclasses.field(default_factory=dict)  # number -> (name, names of arguments)
    names: dict = dataclasses.field(default_factory=dict)  # (event's name, argument's name, value) -> text
    records: list = dataclasses.field(default_factory=list)  # in the order of time
    lost: dict = dataclasses.field(default_factory=dict)  # CPU -> records that were overwritten
    left_out: dict = dataclasses.field(default_factory=dict)  # CPU -> records that count=N left out
    cut: int = 0  # parts of calls whose beginning is lost

    def name_of(self, event, argument, value):
        return self.names.get((event, argument, value))


class Reader:
    """One dump, line by line. `where` is the log's name and the line's number, for errors."""

    def __init__(self):
        self.dump = None
        self.next_line = 0
        self.cpu = None
        self.left = 0  # records of this CPU that are still to come
        self.tsc = 0
        self.number = 0
        self.done = False
        self.records = 0
        self.raw = []

    def take(self, where, number, content):
        if number != self.next_line:
            raise Damaged(f"{where}: the dump's line {self.next_line} is missing, line {number} stands there")
        self.next_line += 1
        words = content.split(" ")
        handler = getattr(self, f"line_{words[0].lower()}", None) if len(words[0]) == 1 else None
        if handler is None or (self.dump is None and words[0] != "V"):
            raise Damaged(f"{where}: a line of a kind {words[0]!r} is not known here")
        try:
            handler(where, words[1:])
        except (ValueError, IndexError, KeyError) as error:
            raise Damaged(f"{where}: not understood: {content}") from error

    def line_v(self, where, words):
        form, cpus, khz = (int(word, 16) for word in words)
        if form != FORM:
            raise Damaged(f"{where}: a dump of form {form}, this tool reads form {FORM}")
        self.dump = Dump(cpus, khz)

    def line_p(self, _where, words):
        self.dump.platform.append(words)

    def line_k(self, _where, words):
        self.dump.events[int(words[0], 16)] = (words[1], words[2:6])

    def line_n(self, _where, words):
        event, argument, value = (int(word, 16) for word in words[:3])
        name, arguments = self.dump.events[event]
        self.dump.names[(name, arguments[argument], value)] = " ".join(words[3:])

    def line_c(self, where, words):
        self.end_cpu(where)
        cpu, first, self.left, lost = (int(word, 16) for word in words)
        self.cpu, self.number, self.tsc = cpu, first, 0
        self.dump.lost[cpu] = lost
        self.dump.left_out[cpu] = first - lost

    def end_cpu(self, where):
        if self.left:
            raise Damaged(f"{where}: {self.left} records of CPU {self.cpu} are missing before it")

    def line_r(self, where, words):
        if not self.left:
            raise Damaged(f"{where}: a record that belongs to no CPU")
        self.left -= 1
        self.records += 1
        event = int(words[0], 16)
        self.tsc = (self.tsc + int(words[1], 16)) & (1 << 64) - 1
        args = [int(word, 16) for word in words[2:]]
        name, arguments = self.dump.events[event]
        args += [0] * (4 - len(args))
        if len(args) != 4:
            raise ValueError("too many arguments")
        self.add(Record(self.cpu, self.number, self.tsc, name,
                        {argument: value for argument, value in zip(arguments, args) if argument != "-"}))
        self.number += 1

    def add(self, record):
        if record.event != "regs":
            self.raw.append(record)
            return
        call = self.raw[-1] if self.raw else None
        if call is None or call.event != "seamcall" or call.cpu != record.cpu:
            self.dump.cut += 1
            return
        which = record.args["which"]
        call.took = which >> TOOK_SHIFT
        if not call.inputs:
            call.inputs = {name: call.args[name] for name in ("rcx", "rdx")}
        for i in range(3):
            register = which >> i * REG_BITS & (1 << REG_BITS) - 1
            if register:
                to = call.outputs if register & REG_OUT else call.inputs
                to[REGISTERS[register & REG_OUT - 1]] = record.args[f"v{i}"]

    def line_e(self, where, words):
        self.end_cpu(where)
        if self.records != int(words[0], 16):
            raise Damaged(f"{where}: {int(words[0], 16)} records were dumped, {self.records} are here")
        self.done = True
        self.dump.records = sorted(self.raw, key=lambda record: (record.tsc, record.cpu, record.number))


def read(lines, name):
    """All whole dumps of a log, as Dump objects. Damaged: there is none, or one that is damaged or cut."""
    dumps = []
    reader = None
    count = 0
    for count, line in enumerate(lines, 1):
        line = strip(line.rstrip("\r\n"))
        if not line.startswith("~"):
            continue
        where = f"{name}:{count}"
        match = LINE.match(line)
        if not match or binascii.crc_hqx(f"{match[1]} {match[2]}".encode("latin-1"), 0) != int(match[3], 16):
            raise Damaged(f"{where}: a damaged line of a dump: its check does not fit")
        number = int(match[1], 16)
        if reader and number == 0:
            raise Damaged(f"{where}: a dump begins here, and the one before it has no end")
        reader = reader or Reader()
        reader.take(where, number, match[2])
        if reader.done:
            dumps.append(reader.dump)
            reader = None
    if reader:
        raise Damaged(f"{name}:{count}: the log ends in the middle of a dump, behind its line {reader.next_line - 1}")
    if not dumps:
        raise Damaged(f"{name}:{count}: the log ends, and no dump was in it (`trace dump` prints one)")
    return dumps
