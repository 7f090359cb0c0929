"""The simulated platform seen by a ten-line guest, and what it says where it cannot run."""
import os
import pathlib
import re
import shutil
import subprocess

import pytest

from conftest import BOOT_S, BUILD, PROMPT, RUN, Septum, run_script, wait_until

# TDX module ABI: OPERAND_INVALID, operand RAX; SDM vol. 3: IA32_FEATURE_CONTROL lock and VMX outside SMX.
OPERAND_INVALID = 0xC000010000000000
FEATURE_LOCK_AND_VMX = 5


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    """What the first guest said, by the words of each line."""
    build = tmp_path_factory.mktemp("first")
    shutil.copy(BUILD / "simtdx.efi", build / "simtdx.efi")
    shutil.copy(BUILD / "testguest-first.efi", build / "septum.efi")
    done = subprocess.run([str(RUN), "--build", str(build), "--timeout", "90"], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, timeout=120)
    text = done.stdout.decode("latin-1")
    assert "first: end" in text, text[-2000:]
    lines = re.findall(r"^first: (.+?) (\S+)\s*$", text, re.MULTILINE)
    return {words: value for words, value in lines}


def test_machine_looks_like_intel_with_tdx(first):
    assert first["vendor"] == "GenuineIntel"
    assert int(first["feature control"], 16) & FEATURE_LOCK_AND_VMX == FEATURE_LOCK_AND_VMX
    assert int(first["KeyIDs"], 16) >> 32 > 0, "no TDX KeyIDs"


def test_seamcalls_reach_the_module(first):
    assert int(first["vmxon failed"], 16) == 0
    assert int(first["SYS.INIT"], 16) == 0
    assert int(first["SYS.LP.INIT"], 16) == 0
    assert int(first["unknown leaf"], 16) == OPERAND_INVALID


def test_movdir64b_clears_the_page(first):
    assert int(first["page sum"], 16) == 0


def run_to_the_shell(*options):
    """What was said until the firmware's shell came."""
    machine = Septum(*options)
    try:
        machine.child.expect_exact("UEFI Interactive Shell", timeout=BOOT_S)
        return machine.child.before
    finally:
        machine.stop()


def test_cpu_without_svm_is_named():
    text = run_to_the_shell("--cpu", "max,phys-bits=48,-svm")
    assert "SVM" in text, text[-2000:]
    assert PROMPT not in text


def test_bare_start_without_tdx_says_what_is_missing_and_returns():
    status, text, _ = run_script("version\n", "--bare")
    assert "not ready for TDX" in text, text[-2000:]
    assert "Back in the UEFI shell" in text
    assert PROMPT not in text
    assert status == 125


@pytest.mark.parametrize("line, words", [("hkids = lots", ("simtdx.cfg:2", "hkids")), ("colour = red", ("simtdx.cfg:2", "colour"))])
def test_bad_knob_stops_the_boot_with_file_line_and_reason(tmp_path, line, words):
    config = tmp_path / "knobs.cfg"
    config.write_text(f"# a comment\n{line}\n")
    text = run_to_the_shell("--sim-config", str(config))
    assert PROMPT not in text
    for word in words:
        assert word in text, text[-2000:]


def test_absent_module_is_named(tmp_path):
    config = tmp_path / "knobs.cfg"
    config.write_text("module = absent\n")
    text = run_to_the_shell("--sim-config", str(config), "--options", "module=/EFI/TDX/TDX-SEAM.so")
    assert "option module=: /EFI/TDX/TDX-SEAM.so: there is no such file on the boot volume" in text, text[-2000:]
    assert "not ready for TDX" in text and "no TDX module is loaded" in text, text[-2000:]
    assert PROMPT not in text


def qemus_of(folder):
    """Process ids of the QEMUs that have a file below `folder` on their command line."""
    found = []
    for entry in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = entry.read_bytes()
        except OSError:
            continue
        if str(folder).encode() in words and b"-nodefaults" in words:
            found.append(int(entry.parent.name))
    return found


def test_timeout_leaves_no_qemu(tmp_path):
    # Its input stays open: at the end of input it would power off by itself.
    process = subprocess.Popen([str(RUN), "--build", str(BUILD), "--timeout", "3"], stdin=subprocess.PIPE,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=dict(os.environ, TMPDIR=str(tmp_path)))
    wait_until(lambda: qemus_of(tmp_path), 10)
    assert process.wait(timeout=30) == 124
    assert not qemus_of(tmp_path)
    assert not list(tmp_path.iterdir())
