"""Firmware that is not to be believed, memory in hundreds of pieces, and machines of many sizes."""
import ctypes
import os
import pathlib
import re
import shutil

import pytest

from conftest import BUILD, Septum, run_script

MIB = 1 << 20
GIB = 1 << 30
PR_SET_THP_DISABLE = 41
# Below 4 GiB the default machine has 2 GiB; OVMF, the platform's reserve and images keep some 100 MiB of its 5.
LEAST_LEFT = 5 * GIB - 160 * MIB
NO_KERNELS = "-td create payload=linux\n-td create payload=linux kernel=zeros\n-td create payload=linux kernel=hello\n"
SCRIPT = "mem\ntdx init\ntd create mem=256M\ntd run\nprobe fill 0 4M\ntd destroy\n"


def linux_files(folder):
    """Options for three files of the folder linux, none of them a kernel."""
    files = {"zeros": bytes(3 * MIB + 1), "hello": b"hello", "two words": b""}
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return [option for name in files for option in ("--linux", str(folder / name))]


def boot_behind(guest, folder, first, *options, before=""):
    """A boot in which the guest starts before `first` (simtdx.efi or septum.efi)."""
    for name in ("simtdx.efi", "septum.efi"):
        shutil.copy(BUILD / name, folder / ("next.efi" if name == first else name))
    shutil.copy(BUILD / f"testguest-{guest}.efi", folder / first)
    script = SCRIPT.replace("td create", before + "td create")
    status, out, records = run_script(script, "--build", str(folder), "--file", str(folder / "next.efi"), *options)
    assert status == 0, out[-3000:]
    return out, {record["cmd"]: record for record in records}


@pytest.fixture(scope="module")
def odd(tmp_path_factory):
    files = linux_files(tmp_path_factory.mktemp("files"))
    return boot_behind("odd_map", tmp_path_factory.mktemp("odd"), "septum.efi", *files, before=NO_KERNELS)


@pytest.fixture(scope="module")
def fragmented(tmp_path_factory):
    return boot_behind("fragment", tmp_path_factory.mktemp("fragmented"), "simtdx.efi")


def test_overlapping_descriptors_are_counted_once(odd):
    out, answers = odd
    assert "memory map: descriptors overlap: 192 MiB counted once, or left alone where one says used" in out
    assert "memory map: 128 MiB set aside by the firmware (persistent, or for a special purpose), left alone" in out
    assert LEAST_LEFT - 128 * MIB < answers["mem"]["total_bytes"] < 5 * GIB - 128 * MIB


def test_files_for_a_linux_are_read_and_judged(odd):
    out, _ = odd
    assert "linux\\two: a name of more than 63 characters, or with spaces or others than ASCII ones; left out" in out
    assert re.search(r"kernel=NAME is missing; the boot volume's folder linux has (zeros, hello|hello, zeros)\"", out)
    assert "kernel=zeros: it is no bzImage: there is no \\\"HdrS\\\" at 0x202" in out
    assert "kernel=hello: it ends before its kernel begins" in out


def test_a_map_that_grows_while_boot_services_end_is_read_again(odd):
    out, answers = odd
    # Four hundred single pages are not worth a table: told, with their sum.
    given_up = re.search(r"memory: the smallest (\d+) of (\d+) pieces are given up, (\d+) KiB", out)
    assert given_up, out[-3000:]
    assert 395 <= int(given_up[1]) <= 405 and int(given_up[3]) == 4 * int(given_up[1])
    assert answers["td destroy"]["free_bytes"] == answers["td destroy"]["free_bytes_before"]


def test_a_hundred_and_fifty_holes_cost_the_smallest_pieces(fragmented):
    out, answers = fragmented
    assert LEAST_LEFT < answers["mem"]["total_bytes"]
    # A TDMR has 16 reserved areas: in this GiB the runs of 80 KiB go, in TDX memory little else does (some of the firmware's own).
    left_out = int(re.search(r"in \d+ TDMRs, PAMTs \d+ KiB, (\d+) KiB left out", out)[1])
    assert 130 * 80 <= left_out <= 170 * 80, left_out
    assert answers["probe fill"]["bad_bytes"] == 0


@pytest.fixture(scope="module")
def nodes():
    """A machine of two nodes, with 2 GiB of the first below 4 GiB and 2 above, and 4 of the second behind; two CPUs each."""
    machine = Septum("--mem", "8G", "--nodes", "2", "--smp", "4")
    try:
        machine.wait_for_prompt()
        yield machine, machine.good("mem"), machine.good("tdx init")
    finally:
        machine.stop()


def test_memory_is_told_by_nodes(nodes):
    _, before, _ = nodes
    assert [node["domain"] for node in before["nodes"]] == [0, 1]
    assert sum(node["total_bytes"] for node in before["nodes"]) == before["total_bytes"]
    assert 4 * GIB - 160 * MIB < before["nodes"][0]["total_bytes"] < 4 * GIB
    # The second node's is whole GiBs, and stays so: the VMM's table of it, 12 MiB, lies in what the first has left over.
    assert before["nodes"][1]["total_bytes"] == 4 * GIB
    assert before["nodes"][1]["free_1g"] == 4


def test_each_tdmr_and_its_pamt_are_of_one_node(nodes):
    machine, before, init = nodes
    tdmrs = [(int(tdmr["base"], 16) // GIB, tdmr["bytes"] // GIB) for tdmr in init["tdmr_list"]]
    assert tdmrs == [(0, 2), (4, 2), (6, 4)]
    # 16 bytes for each 4K page, 4 MiB a GiB, and the smaller tables.
    # They are in the way of a whole GiB only where their node has nothing else.
    for was, now, gib, frames in zip(before["nodes"], machine.good("mem")["nodes"], (4, 4), (0, 1)):
        assert gib * 4 * MIB <= was["free_bytes"] - now["free_bytes"] < gib * 4 * MIB + MIB
        assert was["free_1g"] - now["free_1g"] == frames


def test_a_td_lives_on_the_node_that_it_was_created_on(nodes):
    machine, _, _ = nodes
    free = machine.good("mem")["nodes"]
    machine.good("td create mem=2G node=1 vcpus=3")
    now = machine.good("mem")["nodes"]
    assert 2 * GIB <= free[1]["free_bytes"] - now[1]["free_bytes"] < 2 * GIB + 2 * MIB
    assert free[0]["free_bytes"] - now[0]["free_bytes"] < 2 * MIB
    info = machine.good("td info")
    assert (info["node"], info["far_pages"], info["far_vcpus"]) == (1, 0, 1)
    cpus = machine.good("cpus")
    assert (cpus["cpu_nodes"], cpus["vcpu_cpus"]) == ([0, 0, 1, 1], [2, 3, 1])
    machine.good("td run")
    assert machine.good("probe fill 0 4M cpu=1")["bad_bytes"] == 0
    assert [vcpu["cpu"] for vcpu in machine.good("vcpu list")["vcpus"]] == [2, 3, 1]
    machine.good("td destroy")
    assert "out of memory of node 1" in machine.bad("td create mem=5G node=1")["error"]
    assert "node=2: that node has no memory" in machine.bad("td create node=2")["error"]
    assert machine.good("mem")["nodes"] == free


def qemu_of(machine):
    children = pathlib.Path(f"/proc/{machine.child.pid}/task/{machine.child.pid}/children").read_text(encoding="ascii")
    return int(children.split()[0])


def touched_kib(machine):
    """What the host has to have of the machine: pages that it has touched, and QEMU itself."""
    status = pathlib.Path(f"/proc/{qemu_of(machine)}/status").read_text(encoding="ascii")
    return int(re.search(r"^VmRSS:\s+(\d+) kB", status, re.MULTILINE)[1])


def at_the_prompt(size, *options):
    machine = Septum("--mem", size, *options)
    try:
        machine.wait_for_prompt()
        return touched_kib(machine), machine.good("mem"), machine.good("version")["start_ticks"]
    finally:
        machine.stop()


@pytest.fixture(scope="module")
def sizes(tmp_path_factory):
    """Machines at the prompt, without huge pages, of which one touch takes two MiB. The first two TSCs count instructions."""
    qemu = tmp_path_factory.mktemp("sizes") / "qemu"
    qemu.write_text(f'#!/bin/sh\nexec {os.environ.get("SEPTUM_QEMU", "qemu-system-x86_64")} -icount shift=0 "$@"\n')
    qemu.chmod(0o755)
    ctypes.CDLL(None).prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0)
    try:
        counted = {size: at_the_prompt(size, "--qemu", str(qemu)) for size in ("2G", "12G")}
        return {**counted, "300G": at_the_prompt("300G")}
    finally:
        ctypes.CDLL(None).prctl(PR_SET_THP_DISABLE, 0, 0, 0, 0)


def test_start_touches_as_much_of_a_large_machine_as_of_a_small_one(sizes):
    small, large = sizes["2G"][0], sizes["12G"][0]
    assert large < small * 1.2, f"{small} KiB with 2 GiB, {large} KiB with 12"


def test_start_takes_as_many_instructions_of_a_large_machine_as_of_a_small_one(sizes):
    small, large = sizes["2G"][2], sizes["12G"][2]
    assert 100000 < small and large < small * 1.2, f"{small} with 2 GiB, {large} with 12"


def test_a_large_machine_has_its_memory(sizes):
    memory = sizes["300G"][1]
    assert 298 * GIB < memory["total_bytes"] < 300 * GIB
    assert memory["free_blocks"]["1g"] >= 296
