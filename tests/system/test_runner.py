"""tools/run by itself, against a stand-in for QEMU: statuses, time limits, clean-up, what the console lines mean."""
import os
import pathlib
import pty
import signal
import subprocess
import time

import pytest

from conftest import ROOT, RUN, is_running, wait_until

FAKE = ROOT / "tests/system/fake_qemu.py"
POWEROFF = r"""b'@{"cmd":"poweroff","ok":true,"status":%d}\r\n'"""


@pytest.fixture
def fake(tmp_path):
    """Returns start(steps, *options, **popen): tools/run on a console that goes through `steps`."""
    build = tmp_path / "build"
    build.mkdir()
    for image in ("septum.efi", "simtdx.efi"):
        (build / image).write_bytes(b"MZ")
    plan = tmp_path / "plan"
    started = []

    def start(steps, *options, **more):
        plan.write_text("\n".join(steps) + "\n")
        environment = dict(os.environ, SEPTUM_QEMU=str(FAKE), SEPTUM_OVMF=str(plan), FAKE_CONSOLE=str(plan), TMPDIR=str(tmp_path))
        more.setdefault("stdin", subprocess.DEVNULL)
        process = subprocess.Popen([str(RUN), "--build", str(build), *options], env=environment,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, **more)
        started.append(process)
        return process

    start.pid_file = pathlib.Path(str(plan) + ".pid")
    start.build = build
    start.folder = tmp_path
    yield start
    for process in started:
        process.kill()
        process.wait()


def qemu_pid(fake):
    wait_until(lambda: fake.pid_file.exists() and fake.pid_file.read_text().endswith("\n"), 20)
    return int(fake.pid_file.read_text().split()[0])


def finish(process, **more):
    out, err = process.communicate(timeout=30, **more)
    return process.returncode, out, err


@pytest.mark.parametrize("status", [0, 3, 255])
def test_status_is_that_of_poweroff(fake, status):
    assert finish(fake([POWEROFF % status]))[0] == status


def test_last_poweroff_line_counts_and_failed_ones_do_not(fake):
    failed = r"""b'@{"cmd":"poweroff","ok":false,"error":"bad status"}\r\n'"""
    assert finish(fake([POWEROFF % 1, POWEROFF % 7, failed]))[0] == 7


def test_records_begin_their_line(fake):
    typed = r"""b'septum> @{"cmd":"poweroff","ok":true,"status":9}\r\n'"""
    assert finish(fake([POWEROFF % 2, typed]))[0] == 2


def test_no_poweroff_line_is_125(fake):
    status, _, err = finish(fake([r"b'@{not json}\r\n@[1]\r\nsome text \xff\xfe'"]))
    assert status == 125
    assert b"without a power-off" in err


def test_timeout_is_124_and_leaves_nothing(fake):
    process = fake(["b'hello'", "'ignore'", "'wait'"], "--timeout", "2")
    pid = qemu_pid(fake)
    start = time.monotonic()
    assert finish(process)[0] == 124
    assert time.monotonic() - start < 10
    assert not is_running(pid)
    assert not list(fake.folder.glob("septum-run-*"))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGKILL])
def test_signals_take_qemu_along(fake, number):
    process = fake(["'ignore'", "'wait'"])
    pid = qemu_pid(fake)
    process.send_signal(number)
    status = finish(process)[0]
    assert status == (-number if number == signal.SIGKILL else 128 + number)
    wait_until(lambda: not is_running(pid), 5)
    if number != signal.SIGKILL:
        assert not list(fake.folder.glob("septum-run-*"))


def test_closed_output_takes_qemu_along(fake):
    process = fake(["b'x' * 1000", "0.2"] * 20 + ["'wait'"])
    pid = qemu_pid(fake)
    process.stdout.close()
    assert process.wait(timeout=20) == 125
    assert not is_running(pid)


def test_piped_commands_wait_for_the_prompt_and_end_in_poweroff(fake):
    steps = [r"b'firmware\r\n'", "0.3", r"b'septum> '", "'echo'", "'echo'", "'echo'", r"b'\r\n'", POWEROFF % 0]
    status, out, _ = finish(fake(steps, stdin=subprocess.PIPE), input=b"version\nmem\n")
    assert status == 0
    assert out.index(b"septum> ") < out.index(b"[version\r]") < out.index(b"[mem\r]") < out.index(b"[poweroff\r]")


@pytest.mark.parametrize("stay", [False, True])
def test_script_is_on_the_boot_volume(fake, stay):
    script = fake.folder / "two words.txt"
    script.write_text("version\nmem")
    status, out, _ = finish(fake(["'image'", POWEROFF % 0], "--script", str(script), *["--stay"][: stay]))
    assert status == 0
    assert b"::/EFI/BOOT/BOOTX64.EFI" in out and b"::/septum.efi" in out
    assert b"script=run.septum\n" in out
    assert (b"version\nmem\npoweroff\n" in out) == (not stay)


def test_kernel_and_initrd_are_in_their_folder(fake):
    kernel, initrd = fake.folder / "vmlinuz-6.12", fake.folder / "initrd"
    kernel.write_bytes(b"MZ")
    with open(initrd, "wb") as file:
        file.truncate(80 << 20)  # more than the volume of a run without it
    status, out, _ = finish(fake(["'image'", POWEROFF % 0], "--linux", str(kernel), "--linux", str(initrd)))
    assert status == 0 and b"::/linux/vmlinuz-6.12\r\n" in out and b"::/linux/initrd\r\n" in out


def test_two_kernels_of_one_name_are_refused(fake):
    for folder in ("a", "b"):
        (fake.folder / folder).mkdir()
        (fake.folder / folder / "vmlinuz").write_bytes(b"MZ")
    names = [str(fake.folder / folder / "vmlinuz") for folder in ("a", "b")]
    status, _, err = finish(fake(["'wait'"], "--linux", names[0], "--linux", names[1]))
    assert status == 126 and f"--linux {names[1]}: there are two files named vmlinuz" in err.decode()


def test_option_names_the_qemu(fake):
    status, _, err = finish(fake(["'wait'"], "--qemu", "/nowhere/qemu"))
    assert status == 126 and "/nowhere/qemu not found" in err.decode()


def test_script_from_standard_input_and_options(fake):
    process = fake(["'image'", POWEROFF % 4], "--script", "-", "--options", "log=debug", stdin=subprocess.PIPE)
    status, out, _ = finish(process, input=b"tdx init\n")
    assert status == 4
    assert b"log=debug script=run.septum\n" in out and b"tdx init\n\npoweroff\n" in out


def test_sim_config_and_command_line(fake):
    config = fake.folder / "knobs"
    config.write_text("hkids = 4\n")
    status, out, _ = finish(fake(["'image'", POWEROFF % 0], "--sim-config", str(config), "--mem", "3G", "--monitor", "/a,b"))
    assert status == 0 and b"hkids = 4" in out
    line = fake.pid_file.read_text()
    for part in ("-m 3G", "-smp 1", "-machine q35", "-cpu max,phys-bits=48", "-no-reboot", "-accel tcg",
                 "-monitor unix:/a,,b,server=on,wait=off"):
        assert part in line


@pytest.mark.parametrize("words, cpus", [(["--smp", "4"], 5), (["--smp", "4", "--bare"], 4)])
def test_one_cpu_more_where_the_platform_rests_one(fake, words, cpus):
    assert finish(fake(["'image'", POWEROFF % 0], *words))[0] == 0
    assert f"-smp {cpus} " in fake.pid_file.read_text()


@pytest.mark.parametrize("storage, devices", [("virtio", ["virtio-blk-pci"]), ("ahci", ["ide-hd"]), ("nvme", ["nvme"]),
                                              ("usb", ["qemu-xhci", "usb-storage"])])
def test_storage_of_the_boot_volume(fake, storage, devices):
    assert finish(fake([POWEROFF % 0], "--storage", storage))[0] == 0
    line = fake.pid_file.read_text()
    assert all(f"-device {device}" in line for device in devices) and line.count("-device") == len(devices)


def test_profile_is_behind_the_other_knobs(fake):
    """A line for each SEAMCALL that has a number; what the platform has no knob for is left out."""
    config = fake.folder / "knobs"
    config.write_text("hkids = 4\n")
    status, out, _ = finish(fake(["'image'", POWEROFF % 0], "--sim-config", str(config), "--profile", "server"))
    found = out.decode("latin-1")
    assert status == 0 and "hkids = 4\n\nlatency = 0 2800\n" in found
    assert "profile" not in found
    assert "latency = 7 4000\n" in found and "latency = 15 20000\n" in found and found.count("latency") == 15


def test_samples_name_the_profile(fake):
    """Also where a line comes in pieces; nothing else is changed."""
    steps = [r"""b'@{"cmd":"exp'""", r"""b'eriment","ok":true,"sample":0,"parameters":{}}\r\n'""",
             r"""b'@{"cmd":"experiment","ok":true,"samples":1}\r\n'""", POWEROFF % 0]
    status, out, _ = finish(fake(steps, "--profile", "slow-ipi"))
    assert status == 0
    assert b'@{"cmd":"experiment","ok":true,"sample":0,"parameters":{},"profile":"slow-ipi"}\r\n@{"cmd":"experiment","ok":true,"samples":1}\r\n' in out


def test_reboot_starts_the_machine_again(fake):
    # The second time the console finds the first one's note.
    steps = [r"""b'@{"cmd":"reboot","ok":true}\r\n' if open('%s').read().count('\n') < 2 else %s""" % (fake.pid_file, POWEROFF % 5)]
    assert finish(fake(steps))[0] == 5
    assert fake.pid_file.read_text().count("\n") == 2


def test_log_is_a_copy(fake):
    log = fake.folder / "serial.log"
    _, out, _ = finish(fake([r"b'one\r\n\xff\x00two\r\n'", POWEROFF % 0], "--log", str(log)))
    assert log.read_bytes() == out


def test_panic_ends_the_run_and_is_symbolised(fake):
    source = fake.folder / "tiny.c"
    source.write_text("int broken_on_purpose(int x)\n{\n    return x + 1;\n}\n")
    subprocess.run(["gcc", "-g", "-shared", "-fPIC", "-o", str(fake.build / "septum.so"), str(source)], check=True)
    names = subprocess.run(["nm", str(fake.build / "septum.so")], capture_output=True, text=True, check=True).stdout
    address = next(int(line.split()[0], 16) for line in names.splitlines() if line.endswith("broken_on_purpose"))
    address += 5  # behind the function's first instructions, as if one of them had been a call
    steps = [
        r"b'delta +0x%x is not for symbols\r\n'" % address,
        r"b'\r\npanic on CPU 0: test\r\nreturn addresses:\r\n  +0x%x\r\n'" % address,
        r"""b'@{"cmd":"panic","ok":false}\r\nhalted\r\n'""",
        "'wait'",
    ]
    status, out, err = finish(fake(steps))
    assert status == 125 and b"panicked" in err
    assert out.count(b"broken_on_purpose at tiny.c:") == 1
    assert out.index(b"return addresses") < out.index(b"broken_on_purpose at tiny.c:") < out.index(b"halted")


@pytest.mark.parametrize(
    "options, status, words",
    [
        (["--smp", "9"], 2, "1 to 8 CPUs"),
        (["--nodes", "5"], 2, "1 to 4 NUMA nodes"),
        (["--mem", "lots"], 2, "4096M or 5G"),
        (["--timeout", "-1"], 2, "more than 0"),
        (["--nonsense"], 2, "unrecognized"),
        (["--bare", "--sim-config", "x"], 2, "--bare leaves out"),
        (["--bare", "--profile", "flat"], 2, "--bare leaves out"),
        (["--image", "septum.img", "--options", "force"], 2, "--image has its own options"),
        (["--storage", "tape"], 2, "invalid choice: 'tape'"),
        (["--image", "/nowhere/at/all"], 126, "--image /nowhere/at/all: No such file"),
        (["--profile", "quick"], 126, "no profile 'quick': there are flat, server"),
        (["--script", "/nowhere/at/all"], 126, "/nowhere/at/all"),
        (["--sim-config", "/nowhere/at/all"], 126, "/nowhere/at/all"),
        (["--build", "/nowhere"], 126, "`make` builds"),
        (["--linux", "/nowhere/at/all"], 126, "--linux /nowhere/at/all: there is no such file"),
        (["--image", "septum.img", "--linux", "vmlinuz"], 2, "--image has its own options"),
        (["--log", "/nowhere/at/all"], 126, "/nowhere/at/all"),
    ],
)
def test_bad_options_are_named(fake, options, status, words):
    got, _, err = finish(fake(["'wait'"], *options))
    assert got == status
    assert words in err.decode()
    assert not fake.pid_file.exists()
    assert not list(fake.folder.glob("septum-run-*"))


@pytest.mark.parametrize("variable, package", [("SEPTUM_QEMU", "qemu-system-x86"), ("SEPTUM_OVMF", "SEPTUM_OVMF")])
def test_what_is_missing_is_named(fake, variable, package):
    environment = dict(os.environ, SEPTUM_OVMF=str(fake.build / "septum.efi"))
    environment[variable] = "/nowhere/to/be/found"
    done = subprocess.run([str(RUN), "--build", str(fake.build)], env=environment, capture_output=True, check=False,
                          stdin=subprocess.DEVNULL, timeout=20)
    assert done.returncode == 126 and package in done.stderr.decode()


def test_terminal_is_raw_and_restored(fake):
    import termios

    leader, follower = pty.openpty()
    before = termios.tcgetattr(follower)
    process = fake([r"b'septum> '", "'echo'", "'wait'"], stdin=follower)
    wait_until(lambda: termios.tcgetattr(follower)[3] != before[3], 10)
    qemu_pid(fake)
    os.write(leader, b"a\x03\x01\x01b\r")
    out = b""
    while b"]" not in out:
        out += os.read(process.stdout.fileno(), 4096)
    assert b"[a\x03\x01b\r]" in out
    os.write(leader, b"\x01x")
    assert finish(process)[0] == 125
    assert termios.tcgetattr(follower) == before
    os.close(leader)
    os.close(follower)
