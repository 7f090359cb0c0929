"""TDs on the machine alone: tests/system/tdcore stands in the module's place; td.asm is a TD of one vCPU, pair.asm one of two, or of
one that takes interrupts."""
import re
import shutil
import subprocess

from conftest import BUILD, RUN

# Basic exit reasons, SDM volume 3, appendix C; TDCALL: Intel TDX CPU architectural extensions.
TRIPLE_FAULT, NMI_WINDOW, CPUID, HLT, VMCALL, CR, IO, RDMSR, WRMSR, TRAP, VIOLATION, WBINVD, TDCALL = (
    2, 8, 10, 12, 18, 28, 30, 31, 32, 37, 48, 54, 77)
SHARED = 1 << 47
LIMIT_S = 300


def report(value):
    return {"exit": TDCALL, "length": 4, "rdx": value}


ASKED = {"exit": TDCALL, "length": 4}


def exception(vector, error=0, **more):
    return [ASKED, {"exception": vector, "error": error, **more}]


def virtualization_exception(linear, gpa):
    return exception(20) + [{"#VE": 0xFFFFFFFF00000030, "qualification": 0x181, "linear": linear, "gpa": gpa}]


EXPECTED = [
    report(0x80000033), report(0x660), report(0xD01),
    {"exit": CPUID, "length": 2},
    {"exit": IO, "length": 1, "qualification": 0x3F8 << 16},
    {"exit": IO, "length": 2, "qualification": 0x71 << 16 | 1 << 6 | 1 << 3 | 3},
    {"exit": HLT, "length": 1}, {"exit": WBINVD, "length": 2},
    {"exit": RDMSR, "length": 2}, {"exit": WRMSR, "length": 2},
    {"exit": VMCALL, "length": 3},
    {"exit": CR, "length": 3, "qualification": 4}, {"exit": CR, "length": 3, "qualification": 0},
    report(0x1234), report(0x1122334455667788), report(3),
    *exception(6), *exception(13),
    {"exit": VIOLATION, "qualification": 0x182, "linear": 0x400128, "gpa": 0x400128, "vectoring": 0}, report(5),
    *virtualization_exception(0x401008, 0x401008), report(0),
    report(0x5151),
    *virtualization_exception(0x601000, SHARED | 0x6000),
    *exception(14, 0x19, cr2=0x600000),
    report(0xAAA1), ASKED, report(0xAAA1), ASKED, report(0xAAA2),
    report(0x2222),
    {"exit": VIOLATION, "length": 1, "qualification": 0x182, "linear": 0x4037F8, "gpa": 0x4037F8,
     "vectoring": 0x80000603},
    *exception(3),
    ASKED, *exception(0x40),
    ASKED, *exception(0x44),
    ASKED, *[{"exit": TRAP, "vectoring": 0}] * 3,
    ASKED, *exception(2), {"exit": NMI_WINDOW},
    ASKED,
    {"exit": TRIPLE_FAULT, "vectoring": 0},
]


def numbers(line):
    """`exit 48 length 7 rdx 0 ...` as a dictionary; all but exit and length are hex."""
    words = line.split()
    return {key: int(value, 10 if key in ("exit", "length") else 16) for key, value in zip(words[::2], words[1::2])}


def run(tmp_path, guest, *options):
    shutil.copy(BUILD / "tdcore.efi", tmp_path / "simtdx.efi")
    shutil.copy(BUILD / f"testguest-{guest}.efi", tmp_path / "septum.efi")
    done = subprocess.run([str(RUN), "--build", str(tmp_path), "--mem", "2G", "--timeout", str(LIMIT_S), *options],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
                          timeout=LIMIT_S + 30)
    text = done.stdout.decode("latin-1")
    assert f"{guest}: end" in text, text[-3000:]
    return text


def test_every_exit_of_a_td_is_what_vmx_would_report(tmp_path):
    text = run(tmp_path, "enter")
    seen = [numbers(line) for line in re.findall(r"^simtdx: td: +(.+?)\s*$", text, re.MULTILINE)]
    for step, (got, expected) in enumerate(zip(seen, EXPECTED)):
        for key, value in expected.items():
            assert got.get(key) == value, f"step {step}: {key} is {got.get(key)}, not {value}: {got}"
    assert len(seen) == len(EXPECTED)


# What vCPU 0 and vCPU 1 see or count, one entry a line of guests/pair.c. aaa1h is what the page held at first, one more each time
# that it is remapped. Of the 256 pages below 1 MiB the vCPUs have touched before: code, three page tables, their mailboxes.
PAIR = {
    "meetings": (2000, 2000), "exits meanwhile": (0, 0),
    # A TLB outlives exits; INVEPT is one CPU's.
    "at first": (0xAAA1, 0xAAA1), "remapped": (0xAAA1, 0xAAA1), "one flushed": (0xAAA2, 0xAAA1), "both flushed": (0xAAA2, 0xAAA2),
    # The epoch: flushed is who is entered behind TRACK, and nobody else.
    "kicked without TRACK": (0xAAA2, 0xAAA2), "TRACK without kicks": (0xAAA2, 0xAAA2), "TRACK and one kick": (0xAAA2, 0xAAA3),
    "TRACK and both kicks": (0xAAA3, 0xAAA3),
    # A TLB for each vCPU and CPU: the one left behind is stale when the vCPU comes back.
    "on another CPU": (0xAAA4, None), "back again": (0xAAA3, None), "back and flushed": (0xAAA4, None),
    "misses, before": (251, 250), "misses, warm": (0, 0), "misses, flushed": (256, None), "misses, warm again": (0, 0),
    # Spoilt by the VMM: lost on both CPUs, fatal (machine check) to the one that looks. The other one walks again for code, three
    # tables, its mailbox and the page that it reads, and does not leave.
    "the page before": (0x600D, 0x600D), "end by a spoilt page": (4, None), "goes on": (None, 0xAAA4), "exits since": (None, 0),
    "misses since": (None, 6), "end by itself": (None, 2),
}


def test_two_vcpus_run_at_once_each_with_its_own_tlb(tmp_path):
    text = run(tmp_path, "pair", "--smp", "3")
    seen = {}
    for vcpu, name, value in re.findall(r"^pair: (\d) (.+) ([0-9a-f]{16})\r*$", text, re.MULTILINE):
        seen.setdefault(name, [None, None])[int(vcpu)] = int(value, 16)
    assert {name: tuple(values) for name, values in seen.items() if tuple(values) != PAIR.get(name)} == {}
    assert seen.keys() == PAIR.keys()
    assert text.count("TDX private memory") == 1


# What guests/storm.c tells of a vCPU that takes posted interrupts, while it is taken out and its TLB is flushed over and over. A VMM
# that posts for a vCPU outside and sends no notification: the interrupt waits for the next one.
STORM = {
    "posted": 20000, "taken": 20000, "vectors that differ": 0, "entries enough": 1, "self-IPIs lost": 0, "end": 2,
    "exits without acknowledge": 0,
    "missing without a notification": 1, "missing behind it": 0, "ON": 0,
}


def test_no_posted_interrupt_is_lost_or_doubled(tmp_path):
    text = run(tmp_path, "storm", "--smp", "2")
    lines = re.findall(r"^storm: 0 (.+) ([0-9a-f]{16})\r*$", text, re.MULTILINE)
    assert {name: int(value, 16) for name, value in lines} == STORM
