"""A machine whose firmware loaded no TDX module: P-SEAMLDR installs the one of the boot volume, or says why not."""
import hashlib
import struct

import pytest

from conftest import COMMAND_S, Septum

PAGES = 6
IMAGE = bytes(range(256)) * 16 * PAGES

# SEAMLDR.INSTALL's statuses by its specification, one after the other on the same machine: what a person reads of each.
REFUSALS = (
    ("EBADPARAM", 0x8000000000000000, "it refuses the parameters page (SEAMLDR_PARAMS) or an address in it"),
    ("EBADHANDOFF", 0x8000000000000004, "the module cannot take over what an older one left: reset the machine"),
    ("ECLEANUPREQ", 0x8000000000000005, "keys and caches of an older module have to be cleaned first: reset the machine"),
    ("EUNSUPPORTED", 0x8000000000000006, "this P-SEAMLDR takes no module of that major version: update the BIOS"),
    ("ENOMEM", 0x8000000000010002, "the module does not fit into the SEAM range that the firmware set aside"),
    ("EUNSPECERR", 0x8000000000010003, "something about the platform's configuration is not as it must be: update the BIOS"),
    ("EUNSUPCPU", 0x8000000000010004, "the module is not made for a CPU of this machine: take the one for its generation"),
    ("EBADSIG", 0x8000000000020000, "the sigstruct is malformed, not Intel's, or of an older security version"),
    ("unknown status", 0x8000000000077777, "this Septum does not know it"),
)
NOT_TAKEN = "SEAMLDR.INSTALL: EBADCALL (0x8000000000000003) on each CPU: P-SEAMLDR has their calls and waits for CPUs that " \
            "Septum does not run, or it shuts down: reset the machine"
# These ask for another try, which meets what stands behind them in the list: the module, which is not what was signed.
AGAIN = (0x8000000000030000, 0x8000000000030001)
ALTERED = ("EBADHASH", 0x8000000000020001, "the module's bytes are not those that the sigstruct is for: take both from one release")


def sigstruct_of(image):
    """SEAM_SIGSTRUCT as far as the platform's P-SEAMLDR looks at it: a header, the exponent, the hash."""
    header = struct.pack("<10I", 6, 0xe1, 0x10000, 0, 0x8086, 0x20240407, 0x200, 0x60, 0x60, 1)
    body = header.ljust(512, b"\0") + struct.pack("<I", 0x10001)
    return (body.ljust(900, b"\0") + hashlib.sha384(image).digest()).ljust(2048, b"\0")


def joined(image):
    """TDX-BLOB, version 1.0: a page of header, one of the sigstruct, the module; all words add up to 0."""
    header = struct.pack("<HHI8sI", 0x100, 0, 8192, b"TDX-BLOB", 8192 + len(image)).ljust(4096, b"\0")
    blob = bytearray(header + sigstruct_of(image).ljust(4096, b"\0") + image)
    struct.pack_into("<H", blob, 2, -sum(struct.unpack(f"<{len(blob) // 2}H", blob)) & 0xffff)
    return blob


@pytest.fixture
def start(tmp_path):
    """Boots with knobs and the files of a module, the first of which the option names."""
    machines = []

    def boot(knobs, files, *options):
        for name, content in files.items():
            (tmp_path / name).write_bytes(content)
        (tmp_path / "knobs").write_text(knobs)
        machines.append(Septum("--sim-config", str(tmp_path / "knobs"), "--module", str(tmp_path / next(iter(files))), *options))
        return machines[0].wait_for_prompt()

    yield boot
    for machine in machines:
        machine.stop()


KNOBS = """
module = absent
seamldr_called = 0
seamldr_called = 3
seamldr_busy_every = 3
packages = 4
latency = 36 25000000
fault = 35 2 0x8000020200000000    # LP.INIT: the module is busy
fault = 31 3 0xc000082000000000    # SYS.KEY.CONFIG, MNG.KEY.CONFIG, VP.FLUSH: refused
fault = 8 2 0xc000081100000000
fault = 18 1 0xc000010000000001
"""


def test_module_in_one_file_is_installed_on_four_packages(start):
    """Others began an installation and left it, and are inside P-SEAMLDR now and then. The module is busy, a package refuses a key,
    a CPU its vCPU, once each."""
    machine = start(KNOBS, {"tdx_module_1.5.01.blob": joined(IMAGE)}, "--smp", "4", "--mem", "3G")
    assert "module 1.5.01 absent" in machine.boot_text and "4 CPUs in 4 packages" in machine.boot_text
    no_key(machine)
    stopped(machine)
    assert machine.good("tdx init")["module_version"] == "1.5.01"
    answer = machine.bad("td create mem=64M vcpus=2")
    assert "the TD's key cannot be set up on package 1 (CPU 1)" in answer.text
    assert answer["error"] == "creating the TD: TDH.MNG.KEY.CONFIG: TDX_KEY_STATE_INCORRECT, 0xc000081100000000"
    machine.good("td create mem=64M vcpus=2")
    assert machine.bad("td run")["error"] == "moving the vCPU to another CPU: TDH.VP.FLUSH: TDX_OPERAND_INVALID (RCX), " \
                                             "0xc000010000000001"
    machine.good("td run")
    machine.good("td destroy")
    stats = machine.good("stats")
    seamcalls = stats["seamcalls"]
    assert stats["statuses"]["TDX_SYS_BUSY"] == 1
    assert seamcalls["TDH.SYS.LP.INIT"] == 4 + 1
    for once_a_package in ("TDH.SYS.KEY.CONFIG", "TDH.MNG.KEY.CONFIG", "TDH.PHYMEM.CACHE.WB"):
        assert seamcalls[once_a_package] == 4 + 4, once_a_package  # and once more since the first try failed on one
    assert machine.poweroff() == 0


def no_key(machine):
    answer = machine.bad("tdx init")
    assert "P-SEAMLDR 1.5.00, build 746 of 20240407, installs a module of 24 KiB" in answer.text
    assert answer["error"] == "the module's own key cannot be set up on package 2 (CPU 2): TDH.SYS.KEY.CONFIG: " \
                              "TDX_HKID_NOT_FREE, 0xc000082000000000"


def stopped(machine):
    """^C while memory is initialised, which a latency of milliseconds makes slow."""
    machine.send("tdx init\r")
    machine.child.expect(r"TDX memory: (\d+) of (\d+) MiB initialised, \d+ s left", timeout=COMMAND_S)
    machine.send("\x03")
    answer = machine.answer()
    assert not answer["ok"] and answer["error"].startswith("stopped while TDX memory is initialised, `tdx init` goes on from there")


def test_each_refusal_is_told_with_what_to_do(start):
    altered = bytes([IMAGE[0] ^ 1]) + IMAGE[1:]
    statuses = [0x8000000000000003, *(status for _, status, _ in REFUSALS), *AGAIN]
    machine = start("module = absent\n" + "".join(f"seamldr_refuses = {status:#x}\n" for status in statuses),
                    {"TDX-SEAM.so": altered, "TDX-SEAM.so.sigstruct": sigstruct_of(IMAGE)})
    assert machine.bad("tdx init")["error"] == NOT_TAKEN
    for name, status, words in [*REFUSALS, ALTERED, ALTERED]:
        assert machine.bad("tdx init")["error"] == f"SEAMLDR.INSTALL on CPU 0: {name}, {status:#x}: {words}"
