"""What firmware leaves wrong, in two boots: memory encryption off and no SEAM loader; damaged ACPI tables and a module that refuses."""
import re

import pytest

from conftest import BOOT_S, PROMPT, Septum

NO_ENCRYPTION = "memory encryption is off: enable Total Memory Encryption (TME) and its multi-tenant form (TME-MT) in the firmware setup"
NO_LOADER = "no P-SEAMLDR is loaded, so a module cannot be loaded or changed after the firmware: enable TDX SEAM Loader in its setup, " \
            "or update the BIOS"
TOO_OLD = "the TDX module is of generation 1.0: it has no TDH.SYS.RD, so it does not say what it offers; update it to 1.5 or later"
TME_OFF = "IA32_TME_ACTIVATE (MSR 0x982) = 0x1001600000001"


@pytest.fixture
def boot(tmp_path):
    machines = []

    def start(knobs, *options):
        (tmp_path / "knobs").write_text(knobs)
        machines.append(Septum("--sim-config", str(tmp_path / "knobs"), *options))
        return machines[0]

    yield start
    for machine in machines:
        machine.stop()


def checks(machine):
    return {check["name"]: check for check in machine.good("tdx check")["checks"]}


def test_memory_encryption_off_and_no_seam_loader(boot):
    machine = boot("tme = off\nseamldr = absent\nmodule = absent\n")
    machine.child.expect_exact("Shell>", timeout=BOOT_S)
    assert f"this machine is not ready for TDX:\r\n{NO_ENCRYPTION} [{TME_OFF}]" in machine.child.before
    machine.send("fs0:\\septum.efi force\r")
    machine.child.expect_exact(PROMPT, timeout=BOOT_S)
    found = checks(machine)
    assert (found["tme"]["state"], found["tme"]["value"], found["tme"]["fix"]) == ("missing", TME_OFF, NO_ENCRYPTION)
    assert (found["seamldr"]["state"], found["seamldr"]["value"], found["seamldr"]["fix"]) == (
        "missing", "SEAMLDR.INFO: VMfailInvalid", NO_LOADER)
    assert found["keyids"]["value"] == "not asked without tme" and found["module"]["value"] == "not asked without keyids"
    assert machine.bad("tdx init")["error"] == f"this machine is not ready for TDX: {NO_ENCRYPTION} [{TME_OFF}]"
    assert machine.good("stats")["retries"] == 0  # looking for what is not there is no retry


def test_damaged_tables_and_a_module_that_is_too_old(boot):
    """The last of three CPUs stands behind an entry that has no length; the module knows no TDH.SYS.RD, and does not like leaf 7."""
    machine = boot("acpi = damaged\nmodule_minor = 0\nmodule_update = 3\ncpuid_refused = 7\n", "--smp", "3").wait_for_prompt()
    for words in (r"warn: acpi: table FACP at 0x[0-9a-f]+ has a bad length or checksum, not used",
                  r"warn: acpi: the MADT's entry at byte 60 has a length of 0, it and what follows is not read",
                  r"warn: acpi: table HPET at 0x[0-9a-f]+ has a bad length or checksum, not used", r", 2 of 2 CPUs, TSC [1-9]"):
        assert re.search(words, machine.boot_text), words
    version = checks(machine)["module_version"]
    assert (version["state"], version["value"], version["fix"]) == (
        "missing", "TDH.SYS.RD: TDX_SYS_NOT_READY (0xc000050500000000)", TOO_OLD)
    assert machine.bad("tdx init")["error"] == (
        "the module refuses to start on this platform: TDH.SYS.INIT: TDX_INCORRECT_CPUID_VALUE, 0xc000090000000000: "
        "CPUID leaf 0x7 sub-leaf 0x0 on CPU 0, EAX 0x0 & 0xffffffff should be 0x1: an old BIOS or microcode: update both")
    assert machine.poweroff() == 0
