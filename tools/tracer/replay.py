"""Replays the SEAMCALLs of a dump against the model of the TDX module: turns them into records as tests/conformance/records
has them, and lets build/conformance replay those.

What a trace does not hold is what the TD does inside without an exit. It is known where it shows later: an ACCEPT that exited
is executed again at the next entry; a page that was pending and is accepted by SEPT.RD's word, or that PROMOTE took together with
an accepted one, was accepted while the TD ran last. Such steps are marked `inferred`.
"""
import dataclasses
import json
import pathlib
import re
import subprocess
import sys
import tempfile

from tracer.dump import REGISTERS

EXIT_DIFFERS, EXIT_BAD, EXIT_INCOMPLETE = 1, 2, 3
MEMORY_BYTES = 16 << 30  # of the platform that build/conformance has
CPUS_MAX = 8

# TDX Module ABI Specification: completion statuses by their upper 32 bits, leaves, exit reasons.
NON_RECOVERABLE = (0x40000001, 0x60000002, 0x60000005, 0xe0000007)
INTERRUPTED = (0x80000003, 0x80000004)
OPERAND_BUSY, SYS_BUSY = 0x80000200, 0x80000202
EPT_WALK_FAILED, TRACKING_NOT_DONE = 0xc0000b00, 0xc0000b08
VP_ENTER, PAGE_ADD, PAGE_AUG, RANGE_BLOCK, DEMOTE, MNG_RD, MNG_INIT, PROMOTE, SEPT_RD = 0, 2, 6, 7, 15, 11, 21, 23, 25
PAGE_REMOVE, SYS_INIT, RANGE_UNBLOCK, SYS_CONFIG = 29, 33, 39, 45
TDG_VP_VMCALL, TDG_MEM_PAGE_ACCEPT = 0, 6
EXIT_EPT_VIOLATION, EXIT_TDCALL = 48, 77
EXTENDED_ACCEPT = 1
FIELD_MRTD, FIELD_ELEMENT_MASK = 0x1310000300000000, 0xffff
STATE_BLOCKED, STATE_MAPPED = 1, 4  # of a Secure EPT entry; both tell of an accepted page
ENTRY_LEAF = 0x80
TD_PARAMS_BYTES, TDMR_INFO_BYTES = 1024, 512


class Incomplete(Exception):
    """The trace lacks something without which no replay begins."""


def page_bytes(level):
    return 4096 << 9 * level


@dataclasses.dataclass
class Visit:
    """One stay of a vCPU in the TD: `calls` is filled in after the fact with what it must have done."""
    number: int
    lp: int
    calls: list = dataclasses.field(default_factory=list)


@dataclasses.dataclass
class Leaf:
    pending: bool
    since: int  # the number of visits that had begun when it came to be
    parts: dict = dataclasses.field(default_factory=dict)  # what was merged into it: (gpa, level) -> Leaf


class Tree:
    """The leaves of one TD's Secure EPT as its calls tell, to find the ACCEPTs that nobody saw."""

    def __init__(self):
        self.leaves = {}  # (gpa, level) -> Leaf
        self.blocks = {}  # (gpa, level) -> [visits that had begun when it was blocked, and when that ended (None: not yet)]
        self.visits = []

    def begin(self, lp):
        self.visits.append(Visit(len(self.visits), lp))
        return self.visits[-1]

    def accepted(self, gpa, level):
        """Says that the leaf is accepted by now, whether it was seen or not."""
        leaf = self.leaves.get((gpa, level))
        if leaf is None or not leaf.pending:
            return
        self.insert(leaf, gpa, level, len(self.visits))

    def last_open(self, gpa, end):
        """One more than the last visit before number `end` that began with nothing blocked above the page; 0: none."""
        spans = [span for level in range(3) for span in self.blocks.get((gpa & ~(page_bytes(level) - 1), level), ())]
        for first, last in sorted(spans, reverse=True):
            if first < end and (last is None or end <= last):
                end = first
        return end

    def insert(self, leaf, gpa, level, end):
        """An ACCEPT into the last visit before number `end`; of its parts, where none was since they were merged."""
        if not leaf.pending:
            return
        leaf.pending = False
        end = self.last_open(gpa, end)
        if end > leaf.since:
            visit = self.visits[end - 1]
            visit.calls.append(accept(visit.lp, gpa | level))
        for (at, below), part in leaf.parts.items() if end <= leaf.since else ():
            self.insert(part, at, below, end)

    def open(self, gpa, level):
        for span in self.blocks.get((gpa, level), ())[-1:]:
            if span[1] is None:
                span[1] = len(self.visits)

    def after(self, leaf, gpa, level, call):
        """A call on the entry of `level` at `gpa` that succeeded."""
        if leaf in (PAGE_ADD, PAGE_AUG):
            self.leaves[gpa, level] = Leaf(leaf == PAGE_AUG, len(self.visits))
        elif leaf == RANGE_BLOCK:
            self.blocks.setdefault((gpa, level), []).append([len(self.visits), None])
        elif leaf == RANGE_UNBLOCK:
            self.open(gpa, level)
        elif leaf == PAGE_REMOVE:
            self.open(gpa, level)
            self.leaves.pop((gpa, level), None)
        elif leaf == DEMOTE:
            self.demoted(gpa, level)
        elif leaf == PROMOTE:
            self.promoted(gpa, level)
        elif leaf == SEPT_RD:
            self.shown(gpa, call)

    def shown(self, gpa, call):
        """A call answers with the entry that its walk ended at."""
        rcx, rdx = (call.outputs.get(name, call.inputs[name]) for name in ("rcx", "rdx"))
        if rcx & ENTRY_LEAF and rdx >> 8 & 0xff in (STATE_BLOCKED, STATE_MAPPED):
            self.accepted(gpa & ~(page_bytes(rdx & 7) - 1), rdx & 7)

    def children(self, gpa, level):
        return [(gpa + i * page_bytes(level - 1), level - 1) for i in range(512)]

    def demoted(self, gpa, level):
        self.open(gpa, level)
        leaf = self.leaves.pop((gpa, level), None)
        for key in self.children(gpa, level) if leaf else ():
            self.leaves[key] = Leaf(leaf.pending, len(self.visits))

    def promoted(self, gpa, level):
        """All of them were in one state: where one is known to be accepted, the others are."""
        found = [self.leaves.get(key) for key in self.children(gpa, level)]
        if all(found):
            mixed = any(not leaf.pending for leaf in found)
            for key in self.children(gpa, level) if mixed else ():
                self.accepted(*key)
            parts = {key: self.leaves.pop(key) for key in self.children(gpa, level)}
            self.leaves[gpa, level] = Leaf(found[0].pending, len(self.visits), parts)
        self.open(gpa, level)


def hexes(registers):
    return {name: f"{value:#x}" for name, value in registers.items()}


def accept(lp, rcx, **more):
    return {"op": "TDCALL", "lp": lp, "leaf": "TDG.MEM.PAGE.ACCEPT", "num": TDG_MEM_PAGE_ACCEPT, "in": {"rcx": f"{rcx:#x}"},
            "result": "TD_RESUMED", "inferred": True} | more


def words_at(records):
    return {r.args["at"] + 8 * i: r.args[f"w{i}"] for r in records for i in range(3)}


def fill(pa, size):
    return {"op": "VMM_WRITE", "pa": f"{pa:#x}", "len": size, "hex": "fill 0x0"}


def seamcall(r, leaf_name):
    registers = dict.fromkeys(REGISTERS[1:], 0) | r.inputs
    return {"op": "SEAMCALL", "lp": r.cpu, "leaf": leaf_name, "num": r.args["leaf"], "ver": 0, "in": hexes(registers)}


class Converter:
    def __init__(self, dump):
        self.dump = dump
        self.calls = []  # of the sequence; a Visit stands for what it holds
        self.trees = {}  # by TDR
        self.tdr_of = {}  # TDVPR -> TDR
        self.again = {}  # TDVPR -> the ACCEPT that it stands at
        self.inside = {}  # CPU -> Visit
        self.memory = {}  # CPU -> records in front of the next call
        self.record_of = {}  # id of a call -> its record
        self.left_out = 0
        self.seamcalls = 0

    # --- what happens when

    def moments(self):
        """(time, order, what, record): a stay in a TD begins and ends, every other call is one moment."""
        for r in self.dump.records:
            if r.event == "memory":
                yield r.began, 1, self.remember, r
            elif r.event == "seamcall" and r.args["leaf"] == VP_ENTER and self.is_exit(r):
                yield r.began, 2, self.enter, r
                yield r.tsc, 0, self.leave, r
            elif r.event == "seamcall" and r.args["status"] >> 32 == TRACKING_NOT_DONE:
                # It looked for vCPUs of older epochs at its begin; one that has left since would have let it go on.
                yield r.began, 1, self.call, r
            elif r.event == "seamcall":
                yield r.tsc, 1, self.call, r

    @staticmethod
    def is_exit(r):
        status = r.args["status"] >> 32
        return status == 0 or status in NON_RECOVERABLE

    def convert(self):
        for _, _, what, r in sorted(self.moments(), key=lambda moment: moment[:2]):
            what(r)
        calls = []
        for call in self.calls:
            calls += call.calls if isinstance(call, Visit) else [call]
        return calls

    def name(self, r):
        return self.dump.name_of("seamcall", "leaf", r.args["leaf"]) or f"{r.args['leaf']:#x}"

    # --- calls of the VMM

    def remember(self, r):
        self.memory.setdefault(r.cpu, []).append(r)

    def operands(self, r):
        """Writes of what the call finds in memory; what was not recorded there is zero."""
        words = words_at(self.memory.pop(r.cpu, []))
        rcx, rdx = r.inputs["rcx"], r.inputs["rdx"]
        if r.args["leaf"] == MNG_INIT:
            self.calls.append(fill(rdx, TD_PARAMS_BYTES))
        elif r.args["leaf"] == SYS_CONFIG:
            self.calls.append(fill(rcx, 8 * rdx))
            self.calls += [fill(words.get(rcx + 8 * i, 0), TDMR_INFO_BYTES) for i in range(rdx)]
        for at, value in words.items():
            if value:
                self.calls.append({"op": "VMM_WRITE", "pa": f"{at:#x}", "len": 8, "hex": value.to_bytes(8, "little").hex()})

    def call(self, r):
        status = r.args["status"] >> 32
        if status in (OPERAND_BUSY, SYS_BUSY):
            self.left_out += 1
            return
        self.operands(r)
        self.learn(r)
        out = hexes(r.outputs)
        if r.args["leaf"] == MNG_RD and r.inputs["rdx"] & ~FIELD_ELEMENT_MASK == FIELD_MRTD:
            out["r8"] = "any"  # the pages that were measured are not in the trace
        interrupted = status in INTERRUPTED
        if interrupted:
            self.calls.append({"op": "SET_PENDING_INTERRUPT", "polls_before_pending": 0, "value": 1})
        self.note(r, seamcall(r, self.name(r)) | {"status": f"{r.args['status']:#x}", "out": out})
        if interrupted:
            self.calls.append({"op": "CLEAR_PENDING_INTERRUPT"})
        self.seamcalls += 1

    def note(self, r, call):
        self.calls.append(call)
        self.record_of[id(call)] = r

    def beside(self, r):
        """Calls of other CPUs that were under way with it: which came first the trace does not say. A vCPU that was inside
        may have left before, and be back with its VMM later."""
        return [other for other in self.dump.records
                if other.event == "seamcall" and other.cpu != r.cpu and r.began <= other.tsc and other.began <= r.tsc]

    def learn(self, r):
        leaf, rcx, rdx = r.args["leaf"], r.inputs["rcx"], r.inputs["rdx"]
        status, of_entry = r.args["status"] >> 32, self.name(r).startswith("TDH.MEM.") and self.name(r) != "TDH.MEM.TRACK"
        if status == 0 and self.name(r) == "TDH.VP.CREATE":
            self.tdr_of[rcx] = rdx
        elif status == 0 and of_entry:
            self.tree(rdx & ~0xfff).after(leaf, rcx & ~0xfff, rcx & 7, r)
        elif status == EPT_WALK_FAILED and of_entry:
            self.tree(rdx & ~0xfff).shown(rcx & ~0xfff, r)

    def tree(self, tdr):
        return self.trees.setdefault(tdr, Tree())

    # --- the TD

    def enter(self, r):
        vcpu = r.inputs["rcx"]
        tree = self.tree(self.tdr_of.get(vcpu))
        visit = tree.begin(r.cpu)
        self.inside[r.cpu] = visit
        self.calls += [seamcall(r, self.name(r)) | {"entered": True}, visit]
        again = self.again.pop(vcpu, None)
        if again is not None and not self.asks(r, again):
            visit.calls.append(accept(r.cpu, again))
            leaf = tree.leaves.get((again & ~0xfff, again & 7))
            if leaf:
                leaf.pending = False
        self.seamcalls += 1

    def final(self, r, name):
        return r.outputs.get(name, r.inputs.get(name, 0))

    def asks(self, r, rcx):
        """Does the exit ask for the page that this ACCEPT is about?"""
        return self.accept_of(r) == rcx

    def accept_of(self, r):
        extended = self.final(r, "rdx")
        if r.args["status"] & 0xffff != EXIT_EPT_VIOLATION or extended & 0xf != EXTENDED_ACCEPT:
            return None
        return self.final(r, "r8") | extended >> 32 & 7

    def leave(self, r):
        self.inside.pop(r.cpu, None)
        answer = {"lp": r.cpu, "result": "TD_EXIT", "vmm_rax": f"{r.args['status']:#x}", "vmm_out": hexes(r.outputs)}
        reason = r.args["status"] & 0xffff
        asked = self.accept_of(r)
        if reason == EXIT_TDCALL:
            mask = self.final(r, "rcx")
            registers = {name: self.final(r, name) for n, name in enumerate(REGISTERS) if mask >> n & 1 and name not in ("rax", "rcx")}
            self.note(r, {"op": "TDCALL", "leaf": "TDG.VP.VMCALL", "num": TDG_VP_VMCALL,
                          "in": hexes({"rcx": mask} | registers)} | answer)
        elif asked is not None:
            self.again[r.inputs["rcx"]] = asked
            self.note(r, accept(r.cpu, asked, inferred=False) | answer)
        else:
            self.note(r, {"op": "VMEXIT", "what": self.dump.name_of("td_exit", "reason", reason) or "exit", "reason": reason,
                          "qual": f"{self.final(r, 'rcx'):#x}", "gpa": f"{self.final(r, 'r8'):#x}",
                          "intr_info": f"{self.final(r, 'r9'):#x}"} | answer)


def platform(dump):
    """env.json of the platform that the trace was taken on."""
    env = {"cmrs": [], "cpuid": [], "pkgs": 1, "ept_levels": 4, "single_step_filter": 0}
    for name, *words in dump.platform:
        values = [int(word, 16) for word in words]
        if name == "keyids":
            maxpa, bits, first = values
            env |= {"max_pa": maxpa, "keyid": {"keyid_bits": bits, "first_keyid_bit": maxpa - bits, "global_hkid": first}}
        elif name == "cpus":
            env["lps"] = values[0]
        elif name == "features0":
            env["features0"] = hex(values[0])
        elif name == "version":
            env["version"] = values
        elif name == "cmr":
            env["cmrs"].append([hex(value) for value in values])
        elif name == "cpuid":
            env["cpuid"].append({"leaf": hex(values[0]), "subleaf": hex(values[1])} |
                                {register: hex(value) for register, value in zip(("eax", "ebx", "ecx", "edx"), values[2:])})
    return env


def check(dump, env):
    for cpu in sorted(dump.lost):
        if dump.lost[cpu] or dump.left_out[cpu]:
            raise Incomplete(f"{dump.lost[cpu] + dump.left_out[cpu]} older records of CPU {cpu} are missing: begin with "
                             "`trace on records=N` before `tdx init`, N large enough")
    first = next((r for r in dump.records if r.event == "seamcall"), None)
    if first is None:
        raise Incomplete("no SEAMCALL was recorded")
    if first.args["leaf"] != SYS_INIT:
        name = dump.name_of("seamcall", "leaf", first.args["leaf"])
        raise Incomplete(f"the first call is {name}, not TDH.SYS.INIT: what came before it is not known")
    if not env["cmrs"]:
        raise Incomplete("the platform is not described: `tdx init` had not ended when it was dumped")
    end = max(int(base, 16) + int(size, 16) for base, size in env["cmrs"])
    if end > MEMORY_BYTES or env["lps"] > CPUS_MAX:
        raise Incomplete(f"the machine is too large: memory to {end:#x} and {env['lps']} CPUs; a replay has {MEMORY_BYTES:#x} "
                         f"bytes and {CPUS_MAX}")


def conformance(build, folder):
    """(exit status, lines for people, its last line's members)."""
    runner = pathlib.Path(build).resolve() / "conformance"
    if not runner.exists():
        print(f"trace: {runner} is not there: `make {build}/conformance` builds it", file=sys.stderr)
        return EXIT_BAD, [], {}
    done = subprocess.run([str(runner), str(folder)], cwd=folder, capture_output=True, text=True, check=False)
    lines = done.stdout.splitlines()
    told = [line for line in lines if line.startswith("@{")]
    shown = [line for line in lines if not re.search(r"not there, left out$|^@\{", line)]
    return done.returncode, shown + done.stderr.splitlines(), json.loads(told[-1][1:]) if told else {}


def company(converter, calls, line):
    """What is to be said of a difference where calls of other CPUs were under way with the one that differs."""
    number = re.match(r"corpus\.jsonl trace#(\d+) ", line)
    r = converter.record_of.get(id(calls[int(number[1])])) if number else None
    beside = converter.beside(r) if r else []
    if not beside:
        return ""
    names = ", ".join(f"{converter.name(other)} on CPU {other.cpu}" for other in beside[:3])
    return f"; beside {names}{', ...' if len(beside) > 3 else ''}: the trace does not say which came first"


def replay(dump, build, folder, keep):
    env = platform(dump)
    check(dump, env)
    converter = Converter(dump)
    calls = converter.convert()
    sequence = {"seq": "trace", "title": "a trace", "setup": "FRESH", "env": {"lps": env["lps"], "pkgs": env["pkgs"]}, "calls": calls}
    (folder / "env.json").write_text(json.dumps(env), encoding="ascii")
    (folder / "corpus.jsonl").write_text(json.dumps(sequence) + "\n", encoding="ascii")
    status, shown, counts = conformance(build, folder)
    inferred = sum(1 for call in calls if call.get("inferred"))
    for line in shown:
        print(line + company(converter, calls, line))
    if keep:
        print(f"records: {folder}")
    if not counts:
        return EXIT_BAD
    print(f"{converter.seamcalls} SEAMCALLs and their TD exits: {counts['agree']} of {counts['calls']} answers are the same; "
          f"{converter.left_out} that met BUSY left out, {inferred} ACCEPTs inferred")
    return EXIT_DIFFERS if status else 0


def run(dump, build, keep):
    try:
        if keep:
            folder = pathlib.Path(keep).resolve()
            folder.mkdir(parents=True, exist_ok=True)
            return replay(dump, build, folder, keep)
        with tempfile.TemporaryDirectory(prefix="trace-") as folder:
            return replay(dump, build, pathlib.Path(folder), None)
    except Incomplete as error:
        print(f"trace: cannot be replayed: {error}", file=sys.stderr)
        return EXIT_INCOMPLETE
