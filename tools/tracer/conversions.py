"""What a TD converted, out of a dump: a list for the workload `list` of `experiment policies` (docs/experiments.md)."""
from tracer import forms

MAP_GPA = 0x10001
# Where the shared bit is in a guest-physical address: of TDs with 52 and with 48 address bits.
SHARED_BITS = (51, 47)
UNITS = ((1 << 30, "G"), (1 << 20, "M"), (1 << 10, "K"))


def size(count):
    for unit, name in UNITS:
        if count % unit == 0:
            return f"{count // unit}{name}"
    return f"{count:#x}"


def asked(dump):
    """(TSC, GPA without the shared bit, bytes, to shared?) of each MapGPA; what goes on where RETRY stopped is part of it."""
    records = [r for r in dump.records if r.event == "vmcall" and r.args["r10"] == 0 and r.args["r11"] == MAP_GPA]
    every = 0
    for r in records:
        every |= r.args["r12"]
    shared = next((1 << bit for bit in SHARED_BITS if every >> bit & 1), 0)
    last = {}
    for r in records:
        gpa, bytes_, to_shared = r.args["r12"] & ~shared, r.args["r13"], bool(r.args["r12"] & shared)
        before = last.get(r.cpu)
        last[r.cpu] = (gpa, gpa + bytes_, to_shared)
        if before and before[1:] == last[r.cpu][1:] and gpa > before[0]:
            continue
        yield r.tsc, gpa, bytes_, to_shared


def lines(dump, out):
    words = forms.Writer(dump)
    out.write("# MS GPA LEN, recorded from a TD's MapGPA. A guest accepts, and so writes, what it takes back.\n")
    for sentence in words.lost():
        out.write(f"# {sentence}\n")
    start = None
    for tsc, gpa, count, to_shared in asked(dump):
        start = tsc if start is None else start
        word = "shared" if to_shared else "private touch"
        out.write(f"{words.us(tsc - start) / 1000:<8.0f} {gpa:<10x} {size(count):<6} {word}\n")
