"""What firmware leaves wrong: memory encryption off, no SEAM loader; damaged ACPI tables, an old module; Secure Boot on."""
import pathlib
import re
import shutil
import subprocess
import sys

import pexpect
import pytest

from conftest import BOOT_S, BUILD, PROMPT, ROOT, Septum

sys.path.insert(0, str(ROOT / "tools"))
from runner.machine import find_qemu  # noqa: E402

NO_ENCRYPTION = "memory encryption is off: enable Total Memory Encryption (TME) and its multi-tenant form (TME-MT) in the " \
                "firmware setup"
NO_LOADER = "no P-SEAMLDR is loaded, so a module cannot be loaded or changed after the firmware: enable TDX SEAM Loader in its " \
            "setup, or update the BIOS"
SECURE_BOOT = "Secure Boot is on: firmware refuses images and shells that are not signed; disable Secure Boot in its setup, or " \
              "sign septum.efi with a key that is enrolled there"
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
    """The last of three CPUs stands behind an entry without length; the module knows no TDH.SYS.RD, and does not like leaf 7."""
    machine = boot("acpi = damaged\nmodule_minor = 0\nmodule_update = 3\ncpuid_refused = 7\n", "--smp", "3").wait_for_prompt()
    for words in (r"warn: acpi: table FACP at 0x[0-9a-f]+ has a bad length or checksum, not used",
                  r"warn: acpi: the MADT's entry at byte 60 has a length of 0, it and what follows is not read",
                  r"warn: acpi: table HPET at 0x[0-9a-f]+ has a bad length or checksum, not used", r", 2 of 2 CPUs, TSC [1-9]"):
        assert re.search(words, machine.boot_text), words
    version = checks(machine)["module_version"]
    assert (version["state"], version["value"], version["fix"]) == (
        "missing", "TDH.SYS.RD: TDX_SYS_NOT_READY (0xc000050500000000)", TOO_OLD)
    # The highest sub-leaf is the emulator's: 0 with QEMU 7.2, 1 with 10. The refusal wants the other.
    refusal = ("the module refuses to start on this platform: TDH.SYS.INIT: TDX_INCORRECT_CPUID_VALUE, 0xc000090000000000: "
               "CPUID leaf 0x7 sub-leaf 0x0 on CPU 0, EAX 0x{} & 0xffffffff should be 0x{}: an old BIOS or microcode: update both")
    assert machine.bad("tdx init")["error"] in (refusal.format(0, 1), refusal.format(1, 0))
    assert machine.poweroff() == 0


# Debian's firmware with Secure Boot on and the key of a test certificate enrolled; its private half is packaged, too.
SECURE_CODE = pathlib.Path("/usr/share/OVMF/OVMF_CODE_4M.secboot.fd")
TEST_VARIABLES = pathlib.Path("/usr/share/OVMF/OVMF_VARS_4M.snakeoil.fd")
TEST_KEY = pathlib.Path("/usr/share/ovmf/PkKek-1-snakeoil")


def make_image(folder, name, septum):
    (folder / name).mkdir()
    shutil.copy(septum, folder / name / "septum.efi")
    image = folder / f"{name}.img"
    make = [str(ROOT / "tools" / "mkimage"), "--bare", "--build", str(folder / name), "--options", "check", str(image)]
    subprocess.run(make, check=True)
    return image


def sign(folder):
    key, signed = folder / "key.pem", folder / "signed.efi"
    subprocess.run(["openssl", "pkey", "-in", f"{TEST_KEY}.key", "-passin", "pass:snakeoil", "-out", str(key)], check=True)
    subprocess.run(["sbsign", "--key", str(key), "--cert", f"{TEST_KEY}.pem", "--output", str(signed), str(BUILD / "septum.efi")],
                   check=True, stderr=subprocess.DEVNULL)
    return signed


def secure_machine(folder, images):
    """QEMU's command line: this firmware keeps its variables from everybody by SMM."""
    shutil.copy(TEST_VARIABLES, folder / "variables.fd")
    line = [find_qemu(), "-accel", "tcg", "-machine", "q35,smm=on", "-cpu", "max", "-m", "512M", "-nodefaults", "-net", "none"]
    line += ["-display", "none", "-no-reboot", "-serial", "stdio", "-global", "driver=cfi.pflash01,property=secure,value=on"]
    line += ["-drive", f"if=pflash,format=raw,unit=0,readonly=on,file={SECURE_CODE}"]
    line += ["-drive", f"if=pflash,format=raw,unit=1,file={folder / 'variables.fd'}"]
    for image in images:
        line += ["-drive", f"format=raw,if=virtio,file={image}"]
    return line


@pytest.mark.skipif(not (shutil.which("sbsign") and shutil.which("openssl") and SECURE_CODE.exists() and TEST_VARIABLES.exists()),
                    reason="no sbsign, or no firmware with Secure Boot: tools/deps test installs both on Debian")
def test_secure_boot_is_said_before_anything_else(tmp_path):
    """The firmware refuses the image that is not signed, and starts the one that is, which says so first."""
    images = [make_image(tmp_path, "unsigned", BUILD / "septum.efi"), make_image(tmp_path, "signed", sign(tmp_path))]
    line = secure_machine(tmp_path, images)
    child = pexpect.spawn(line[0], line[1:], timeout=BOOT_S, encoding="latin-1", echo=False, dimensions=(50, 200))
    try:
        child.expect(r'failed to load Boot[0-9A-F]{4} "UEFI Misc Device" from [^\r\n]*: Access Denied\r')
        child.expect(r'starting Boot[0-9A-F]{4} "UEFI Misc Device 2" from [^\r\n]*\s+Secure Boot is on: the firmware may refuse '
                     r"what is not signed; disable Secure Boot in its setup\s+missing  secure_boot      UEFI variable SecureBoot = 1"
                     r"\s+"
                     + re.escape(SECURE_BOOT) + r"\s+missing  vendor ")
    finally:
        child.close(force=True)
