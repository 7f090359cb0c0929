"""One boot of a machine that lacks this and that: the start, `septum.efi check` in the UEFI shell, `tdx check` at the prompt."""
import re

import pytest

from conftest import BOOT_S, PROMPT, Septum

KNOBS = "seamrr = unlocked\nmsr_differs = 1\nmicrocode = 0\nsgx = off\nsmrr = unlocked\ncpu_dead = 2\n" \
        "microcode_differs = 1\ncpuid_differs = 1 7\nhkids = 1\n"

# State, name and value of a line, in the order of dependence; what is missing has the remedy in a line of its own.
NEVER_LOCKED = "the SEAM range is enabled but never locked (bit 10): the firmware did not run its SEAM loader; enable TDX SEAM " \
               "Loader in its setup, or update a BIOS that comes without P-SEAMLDR"
NO_MICROCODE = "no microcode update is loaded: update the firmware (BIOS), which brings it"
NO_SGX = "SGX is off, and this CPU's firmware offers TDX (and its attestation) only with it: enable SW Guard Extensions (SGX)"
DIFFERS = "an MSR differs on one CPU: TDH.SYS.LP.INIT will refuse it (TDX_INCONSISTENT_MSR or TDX_INCORRECT_MSR_VALUE); " \
          "update the firmware"
OTHER_MICROCODE = "the CPUs have different microcode: update the firmware, or load one revision on all"
OTHER_CPUID = "CPUID differs on one CPU: TDH.SYS.LP.INIT will refuse it (TDX_INCONSISTENT_CPUID_FIELD); the firmware set it up " \
              "otherwise, or it has other microcode: update the firmware"
OPEN_SMM = "the SMM range is not locked (bit 10): TDH.SYS.INIT will refuse (TDX_SMRR_NOT_LOCKED); update the firmware"
DEAD_CPU = "CPUs that did not start keep the module from being configured, since it waits for each: disable those cores in the " \
           "firmware setup, or reset the machine"
ONE_KEYID = "one private KeyID is too few: it goes to the TDX module, and each TD needs another; raise the TME-MT/TDX key " \
            "split in the firmware setup"
KEYIDS = "IA32_MKTME_KEYID_PARTITIONING (MSR 0x87) = 0x10000003e: 62 shared KeyIDs, 1 private ones"
SEAMRR_MASK = "IA32_SEAMRR_PHYS_MASK (MSR 0x1401) = 0xfffffc000800"


class Seen:
    """What was said by the start, by the shell's check, and by the console's commands."""

    start = shell = ""
    check = init = {}


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    knobs = tmp_path_factory.mktemp("check") / "knobs.cfg"
    knobs.write_text(KNOBS)
    machine = Septum("--sim-config", str(knobs), "--smp", "3")
    says = Seen()
    try:
        machine.child.expect_exact("UEFI Interactive Shell", timeout=BOOT_S)
        says.start = machine.child.before
        machine.child.expect_exact("Shell>", timeout=BOOT_S)
        machine.send("fs0:\\septum.efi check\r")
        machine.child.expect(r"\d+ ok, \d+ missing, \d+ unknown before the start", timeout=BOOT_S)
        says.shell = machine.child.before + machine.child.after
        machine.child.expect_exact("Shell>", timeout=BOOT_S)  # it has come back
        machine.send("fs0:\\septum.efi force\r")
        machine.child.expect_exact(PROMPT, timeout=BOOT_S)
        says.check = machine.good("tdx check")
        says.init = machine.bad("tdx init")
        yield says
    finally:
        machine.stop()


def test_the_start_names_the_first_obstacle(seen):
    assert f"this machine is not ready for TDX:\r\n{ONE_KEYID} [{KEYIDS}]" in seen.start


def test_the_shell_gets_the_table(seen):
    assert f"  missing  microcode        IA32_BIOS_SIGN_ID (MSR 0x8b): revision 0x0\r\n           {NO_MICROCODE}\r\n" in seen.shell
    assert f"  missing  seamrr_locked    {SEAMRR_MASK}\r\n           {NEVER_LOCKED}\r\n" in seen.shell
    assert "  unknown  same_msrs        asked at the console, where all CPUs run\r\n" in seen.shell
    assert "  unknown  seamldr          not asked without seamrr_locked\r\n" in seen.shell
    assert "14 ok, 5 missing, 8 unknown before the start" in seen.shell


def test_the_console_has_the_same_and_more(seen):
    checks = {check["name"]: check for check in seen.check["checks"]}
    missing = {name: check["fix"] for name, check in checks.items() if check["state"] == "missing"}
    assert missing == {"microcode": NO_MICROCODE, "keyids": ONE_KEYID, "sgx": NO_SGX, "seamrr_locked": NEVER_LOCKED,
                       "smrr": OPEN_SMM, "same_microcode": OTHER_MICROCODE, "same_msrs": DIFFERS, "same_cpuid": OTHER_CPUID,
                       "cpus": DEAD_CPU}
    unknown = {name: check["value"] for name, check in checks.items() if check["state"] == "unknown"}
    assert unknown == {"seamldr": "not asked without seamrr_locked", "module": "not asked without keyids",
                       "module_version": "not asked without module", "cmrs": "not asked without module_version"}
    assert (seen.check["missing"], seen.check["unknown"], len(checks)) == (9, 4, 27)
    assert checks["same_microcode"]["value"] == "IA32_BIOS_SIGN_ID (MSR 0x8b): revision = 0x1 on CPU 1, 0x0 on CPU 0"
    edx, other = (int(text, 16) for text in re.findall(r"0x[0-9a-f]+(?= on CPU)", checks["same_cpuid"]["value"]))
    assert checks["same_cpuid"]["value"] == f"CPUID leaf 0x7 sub-leaf 0x0 EDX = {edx:#x} on CPU 1, {other:#x} on CPU 0"
    assert edx ^ other == 1
    assert checks["same_msrs"]["value"] == "IA32_TSX_CTRL (MSR 0x122) = 0x2 on CPU 1, 0x0 on CPU 0"
    assert checks["cpus"]["value"] == "ACPI MADT: 3 CPUs, 2 of them started, not CPU 2 (APIC id 2)"
    assert seen.init["error"] == f"this machine is not ready for TDX: {ONE_KEYID} [{KEYIDS}]"
