"""What each CPU of the platform has for itself, tried by guests/smp.c and guests/restore.c; their lines say `GUEST: CPU NAME VALUE`."""
import collections
import re
import shutil
import subprocess

import pytest

from conftest import BUILD, RUN

LIMIT_S = 600
RESTORE_LIMIT_S = 120  # of which its guest works five seconds at most
# Intel TDX Module v1.5 ABI Specification.
LP_INIT_DONE = 0xC000050300000000
KEY_CONFIG_NOT_PENDING = 0xC000050700000000
KEY_CONFIGURED = 0x0000081500000000
UNDEFINED = 2**64 - 1
SIGNATURE = 0x000806F8
MARK = 0x1122334455667788
ROUNDS = 3


def run(tmp_path, guest, cpus, knobs="", mem="6G", limit_s=LIMIT_S):
    """Returns the console's text and {name: [value of CPU 0, 1, ...]}, with a list of values where a name comes again."""
    shutil.copy(BUILD / "simtdx.efi", tmp_path / "simtdx.efi")
    shutil.copy(BUILD / f"testguest-{guest}.efi", tmp_path / "septum.efi")
    config = tmp_path / "knobs"
    config.write_text(knobs)
    done = subprocess.run([str(RUN), "--build", str(tmp_path), "--mem", mem, "--smp", str(cpus), "--timeout", str(limit_s),
                           "--sim-config", str(config)],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
                          timeout=limit_s + 30)
    text = done.stdout.decode("latin-1")
    assert f"{guest}: end" in text, text[-3000:]
    seen = collections.defaultdict(dict)
    for cpu, name, value in re.findall(rf"^{guest}: (\d) (.+) ([0-9a-f]{{16}})\r*$", text, re.MULTILINE):
        seen[name].setdefault(int(cpu), []).append(int(value, 16))
    return text, seen


def first_of_each(cpus, one, rest):
    return {cpu: [one if cpu == 1 else rest] for cpu in range(1, cpus)}


def same(cpus, value, times=1):
    return {cpu: [value] * times for cpu in range(1, cpus)}


def expect_start(cpus):
    return {
        "CPUs": {0: [cpus]},
        "starts, directed": first_of_each(cpus, 1, 0),
        "starts, broadcast": first_of_each(cpus, 2, 1),
        "answers": same(cpus, 42),
        # SDM vol. 3, table "IA-32 and Intel 64 processor states following power-up, reset, or INIT".
        "CR0 at SIPI": same(cpus, 0x60000010),
        "CR4 at SIPI": same(cpus, 0),
        "RDX at SIPI": same(cpus, SIGNATURE),
        "other registers at SIPI": same(cpus, 0),
        "x2APIC at SIPI": first_of_each(cpus, 1, 0),  # INIT leaves the mode alone, and CPU 1 has met a second one
        "bootstrap processor": same(cpus, 0),
    }


def expect_first_cpu(cpus):
    """As CPU 0 has set it before the first SIPI, on which the platform changes the CPU behind it."""
    of_cpu_0 = {
        "spurious vector": [0x1DF], "TPR of CPU 0": [0xB0], "LVT LINT1": [0x12061], "LVT error": [0x10062], "LVT timer": [0x30063],
        "timer divide": [0xA], "timer initial count": [0xFEDCBA98], "timer goes on": [1],
        "TSC_AUX": [0x5E97], "PAT": [0x0507040600070406],
        "debug address": [0x123456 * number for number in range(1, 5)],
        "MXCSR": [0xDFA1], "XMM": [MARK * number % 2**64 for number in range(1, 33)],
        "IRR across the change": [1, 1],
        "IRR of a self IPI": [1], "IRR of an IPI to self": [1], "IRR of an IPI to others": [0], "IRR of an IPI to all": [1],
        # The one that waited, self IPI, to self, to others, to all.
        "taken by CPU 0": [1, 1, 1, 0, 1], "IRR once taken": [0] * 5,
    }
    return {
        **{name: {0: values} for name, values in of_cpu_0.items()},
        "IPIs, CPU 0 to others": same(cpus, 1), "IPIs, CPU 0 to all": same(cpus, 2),
    }


def expect_topology(cpus, packages, threads):
    """APIC IDs are 0, 1, ...: its upper bit is the package where there are two, the lowest one the thread where a core has two."""
    bits = (cpus - 1).bit_length()
    shift = bits - 1 if packages == 2 else bits
    of_package = collections.Counter(cpu >> shift for cpu in range(cpus))
    sizes = {cpu: [of_package[cpu >> shift]] for cpu in range(1, cpus)}
    ids = {cpu: [cpu] for cpu in range(1, cpus)}
    cores, others, thread_shift = (1 << shift) // threads - 1, (1 << shift) - 1, threads - 1
    return {
        "CPUID 1 EBX": {cpu: [cpu << 24 | (1 << shift) << 16 | 8 << 8] for cpu in range(1, cpus)},
        "CPUID 4.0 EAX": same(cpus, cores << 26 | (threads - 1) << 14 | 0x121),
        "CPUID 4.3 EAX": same(cpus, cores << 26 | others << 14 | 0x163),
        "CPUID B.0 EAX": same(cpus, thread_shift), "CPUID B.1 EAX": same(cpus, shift), "CPUID B.1 EBX": sizes,
        "CPUID B.1 ECX": same(cpus, 0x201), "CPUID B.2 ECX": same(cpus, 2),
        "CPUID 1F.0 EBX": same(cpus, threads), "CPUID 1F.1 EAX": same(cpus, shift), "CPUID 1F.1 EBX": sizes,
        "CPUID 1F.1 EDX": ids,
    }


def expect_vmx(cpus):
    return {
        "VMXON": {cpu: [0] for cpu in range(cpus)},
        "SYS.INIT": {0: [0]},
        "SEAMCALL outside VMX": same(cpus, UNDEFINED),
        "VMXE outside VMX": same(cpus, 0),
        "VMXE in VMX": same(cpus, 1),
        "LP.INIT": {cpu: [0] for cpu in range(cpus)},
        "LP.INIT again": same(cpus, LP_INIT_DONE),
        "RDPID": {cpu: [0x100 + cpu] for cpu in range(1, cpus)},
        # INIT is blocked in VMX root operation; the module knows nothing of it.
        "answers in VMX operation": {1: [43]}, "starts by INIT in VMX operation": {1: [0]}, "work ended by INIT": {1: [1]},
        "SEAMCALL behind INIT": {1: [UNDEFINED]}, "VMXE behind INIT": {1: [0]}, "RDPID behind INIT": {1: [0x101]},
        "x2APIC behind INIT": {1: [1]}, "CR4 behind INIT": {1: [0]}, "VMXON behind INIT": {1: [0]},
        "LP.INIT behind INIT": {1: [LP_INIT_DONE]},
    }


def expect_interrupts(cpus):
    named = {1, cpus - 1}
    logical = {cpu: [4 if cpu in named else 3] for cpu in range(1, cpus)}
    return {
        "IPIs, directed": same(cpus, 1), "IPIs, broadcast": same(cpus, 2), "IPIs, to the address of all": same(cpus, 3),
        "IRR, first vector": {0: [1]},
        "IPIs, logical": logical,
        "IPIs, self": {cpu: [count + (2 if cpu == 1 else 0)] for cpu, [count] in logical.items()},
        "IRR before": {0: [0]}, "IRR of an IPI to CPU 0": {0: [1]},
        "TPR": {1: [0x90, 0]},
        "IPIs, CPU 1 behind its TPR": first_of_each(cpus, 0, 1), "IPIs, TPR lowered": same(cpus, 1),
        "NMIs, directed": same(cpus, 1), "NMIs, broadcast": same(cpus, 2),
    }


def expect_module(cpus, packages):
    last = cpus - 1
    return {
        "SYS.CONFIG": {0: [0]},
        "KEY.CONFIG": {0: [0], last: [0 if packages == 2 else KEY_CONFIG_NOT_PENDING]},
        "KEY.CONFIG again": {0: [KEY_CONFIGURED if packages == 2 else KEY_CONFIG_NOT_PENDING]},
        "TDMR.INIT": same(cpus, 0), "TDMR.INIT calls": {0: [256]},
        "CREATE": {0: [0] * ROUNDS},
        "words shown": same(cpus, 0, ROUNDS),
        "end of the TD": {0: [0] * ROUNDS},
        "plain again": same(cpus, MARK + 1, ROUNDS),
    }


@pytest.mark.parametrize("cpus, packages, threads", [(2, 1, 1), (4, 2, 1), (8, 1, 2)])
def test_each_cpu_is_its_own(tmp_path, cpus, packages, threads):
    text, seen = run(tmp_path, "smp", cpus, f"packages = {packages}\nthreads = {threads}\n")
    expected = {**expect_start(cpus), **expect_first_cpu(cpus), **expect_topology(cpus, packages, threads), **expect_vmx(cpus),
                **expect_interrupts(cpus), **expect_module(cpus, packages)}
    assert {name: value for name, value in seen.items() if value != expected.get(name)} == {}
    assert seen.keys() == expected.keys()
    assert text.count("TDX private memory") >= ROUNDS  # how many see another CPU's stand-in page is for the machine to say


def test_x87_state_of_others_leaves_the_first_cpu_alone(tmp_path):
    """A triple fault, a hang or a violation that the guard reports, otherwise, soon after the start."""
    text, seen = run(tmp_path, "restore", 4, mem="2G", limit_s=RESTORE_LIMIT_S)
    assert seen.keys() == {"exits", "loads"}
    assert seen["exits"][0][0] > 0
    assert {cpu for cpu, [count] in seen["loads"].items() if count} == {1, 2, 3}
    assert "guard:" not in text
