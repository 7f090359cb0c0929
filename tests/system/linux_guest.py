"""A Septum whose TD is an unmodified Linux, for tests: the files that it takes, its boot to the shell, lines that run in it."""
import sys

import pytest

from conftest import BUILD, ROOT, Septum

sys.path[:0] = [str(ROOT / "tools" / "linux"), str(ROOT / "tools")]
import volume  # noqa: E402
from packages import Missing  # noqa: E402

PROGRAMS = ["stress", "registers", "convert", "kexec"]
BOOT_S = 240  # a net: about 10 s on a quiet machine
RUN_S = 120


def find_files(folder, add=()):
    """(QEMU, kernel, initrd), the initrd in `folder`; the test is skipped where packages are missing."""
    programs = [BUILD / "linux-tests" / name for name in PROGRAMS]
    try:
        return volume.prepare(BUILD, add=[*programs, *add], may_fetch=False, into=folder)
    except Missing as why:
        pytest.skip(str(why))


class Guest(Septum):
    """Boots at once, with a TD that is not created yet."""

    def __init__(self, files, vcpus=1, options=(), timeout=600):
        self.qemu, self.kernel, self.initrd = files
        self.vcpus = vcpus
        super().__init__("--smp", str(vcpus + 1), "--qemu", str(self.qemu), "--linux", str(self.kernel),
                         "--linux", str(self.initrd), *options, timeout=timeout)
        self.wait_for_prompt()
        self.good("tdx init")
        self.free_bytes = self.good("mem")["free_bytes"]

    def create(self, mem="256M", words="", more=""):
        """`words` of the kernel's command line behind the usual ones; `more` for `td create`."""
        return self.good(f'td create payload=linux kernel={self.kernel.name} initrd={self.initrd.name} mem={mem} '
                         f'vcpus={self.vcpus} cmdline="{volume.COMMAND_LINE} {words}" {more}')

    def boot(self, **more):
        """To the shell's prompt."""
        self.create(**more)
        self.good("td run")
        self.expect("guest: shell", BOOT_S)
        self.expect("guest# ")

    def expect(self, text, limit=RUN_S):
        """The line that the guest said it in."""
        return self.good(f'guest expect "{text}" timeout={limit}', limit + 30)["line"]

    def run(self, line, status=0, limit=RUN_S):
        """Runs a line in the shell, which must end with that status; what was on the screen meanwhile."""
        escaped = line.replace("\\", "\\\\").replace('"', '\\"')
        self.good(f'guest send "{escaped}; echo =$?=\\n"')
        answer = self.good(f'guest expect "={status}=\\r\\n" timeout={limit}', limit + 30)
        self.expect("guest# ")
        return answer.text

    def end(self):
        """The guest powers off; nothing of the VMM's memory is lost with it."""
        self.good('guest send "exit 3\\n"')
        self.expect("guest: status 3")
        self.good("td wait timeout=60", 90)
        self.destroy()

    def destroy(self):
        self.good("td destroy")
        assert self.good("mem")["free_bytes"] == self.free_bytes
