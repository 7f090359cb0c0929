"""The serial console: what comes out of it, what goes into it, and what the lines mean to the runner."""
import json
import os
import re
import selectors
import sys
import termios
import time
import tty


PROMPT = b"septum> "
PANIC = re.compile(rb"^\W*panic\b", re.IGNORECASE)
LINE_LIMIT = 65536
ESCAPE = 0x01  # ^A, as in QEMU: ^A x leaves, ^A ^A is ^A itself
CHUNK = 4096
# A panicked Septum halts: wait this long for the end of its report, then leave.
PANIC_GRACE_S = 10.0


class Terminal:
    """Standard input as a raw terminal while it lasts; does nothing where it is none."""

    def __init__(self):
        self.is_tty = sys.stdin is not None and sys.stdin.isatty()
        self.saved = None

    def __enter__(self):
        if self.is_tty:
            self.saved = termios.tcgetattr(sys.stdin.fileno())
            tty.setraw(sys.stdin.fileno())
        return self

    def __exit__(self, *_):
        if self.saved:
            termios.tcsetattr(sys.stdin.fileno(), termios.TCSADRAIN, self.saved)
            self.saved = None


class Keys:
    """What is typed on a raw terminal, without what is meant for the tool itself."""

    def __init__(self):
        self.is_escaped = False
        self.has_quit = False

    def take(self, data):
        """Takes typed bytes; returns those for the console. An end of the input quits, as ^A x does."""
        wanted = bytearray()
        self.has_quit = not data
        for byte in data:
            if self.is_escaped:
                self.is_escaped = False
                self.has_quit = self.has_quit or byte in b"xX"
                if byte != ESCAPE:
                    continue
            elif byte == ESCAPE:
                self.is_escaped = True
                continue
            wanted.append(byte)
        return bytes(wanted)


class Watcher:
    """Reads the lines of the console for what the runner acts on."""

    def __init__(self, symboliser, members=None):
        """`members` are added to each sample of an experiment."""
        self.symboliser = symboliser
        self.members = json.dumps(members, separators=(",", ":"))[1:].encode() if members else b""
        self.line = b""
        self.status = None  # of the last power-off line
        self.is_reboot = False
        self.panicked_at = None
        self.is_halted = False
        self.has_prompt = False

    def feed(self, data):
        """Takes console bytes; returns them with names behind the addresses of a panic."""
        shown = b""
        for piece in data.splitlines(keepends=True):
            self.line = (self.line + piece)[-LINE_LIMIT:]
            if self.members and self.line.startswith(b"@"):  # shown when it is whole
                shown += self._with_members() if piece.endswith(b"\n") else b""
            else:
                shown += piece
            if piece.endswith(b"\n"):
                shown += self._take(self.line.strip())
                self.line = b""
        self.has_prompt = self.has_prompt or self.line.endswith(PROMPT)
        return shown

    def _with_members(self):
        body = self.line.rstrip()
        is_sample = body.startswith(b'@{"cmd":"experiment"') and b'"sample":' in body and body.endswith(b"}")
        return body[:-1] + b"," + self.members + self.line[len(body):] if is_sample else self.line

    def panic_deadline(self):
        return float("inf") if self.panicked_at is None else self.panicked_at + PANIC_GRACE_S

    def _take(self, line):
        if line.startswith(b"@{"):  # not what somebody typed behind the prompt
            self._take_record(line[1:])
        if PANIC.match(line):
            self.panicked_at = time.monotonic()
        if self.panicked_at is None:
            return b""
        return b"".join(b"    " + name.encode() + b"\r\n" for name in self.symboliser.follow(line))

    def _take_record(self, text):
        try:
            record = json.loads(text)
        except ValueError:
            return
        if not isinstance(record, dict):
            return
        if record.get("cmd") == "panic":
            self.is_halted = True
        if not record.get("ok"):
            return
        self.is_reboot = record.get("cmd") == "reboot"
        if record.get("cmd") == "poweroff" and isinstance(record.get("status"), int):
            self.status = record["status"]


class Console:
    """Moves bytes between standard input and output and the machine until one of them ends."""

    def __init__(self, machine, watcher, log, deadline, is_tty):
        self.machine = machine
        self.watcher = watcher
        self.log = log
        self.deadline = deadline
        self.is_tty = is_tty
        self.to_machine = bytearray()
        self.keys = Keys()
        self.stdin_open = sys.stdin is not None
        self.selector = selectors.DefaultSelector()

    def pump(self):
        """Returns "ended" when the machine has stopped, else "timeout", "quit" or "panic"."""
        self.selector.register(self.machine.output, selectors.EVENT_READ, self._from_machine)
        writing = reading = False
        while True:
            reading = self._want(sys.stdin, self._should_read(), reading, selectors.EVENT_READ, self._from_stdin)
            writing = self._want(
                self.machine.input, bool(self.to_machine), writing, selectors.EVENT_WRITE, self._into_machine
            )
            now = time.monotonic()
            if now >= self.deadline:
                return "timeout"
            if self.watcher.is_halted or now >= self.watcher.panic_deadline():
                return "panic"
            for key, _ in self.selector.select(min(self.deadline - now, 0.5)):
                outcome = key.data()
                if outcome:
                    return outcome

    def _should_read(self):
        # What is typed ahead of the prompt would be eaten by the firmware, so piped input waits for it.
        return self.stdin_open and len(self.to_machine) < CHUNK and (self.is_tty or self.watcher.has_prompt)

    def _want(self, file, want, registered, event, action):
        if want == registered:
            return registered
        if want:
            try:
                self.selector.register(file, event, action)
            except PermissionError:  # a plain file is always ready, and epoll does not take it
                action()
                return False
        else:
            self.selector.unregister(file)
        return want

    def _from_machine(self):
        try:
            data = os.read(self.machine.output.fileno(), CHUNK)
        except BlockingIOError:
            return None
        if not data:
            return "ended"
        self._show(self.watcher.feed(data))
        return None

    def _show(self, data):
        if self.log:
            self.log.write(data)
            self.log.flush()
        view = memoryview(data)
        while view:
            view = view[os.write(sys.stdout.fileno(), view) :]

    def _from_stdin(self):
        data = os.read(sys.stdin.fileno(), CHUNK)
        if self.is_tty:
            return self._typed(data)
        if not data:
            # The end of piped commands is the end of the work.
            self.stdin_open = False
            self.to_machine += b"poweroff\r"
        self.to_machine += data.replace(b"\n", b"\r")
        return None

    def _typed(self, data):
        self.to_machine += self.keys.take(data)
        return "quit" if self.keys.has_quit else None

    def _into_machine(self):
        try:
            done = os.write(self.machine.input.fileno(), bytes(self.to_machine[:CHUNK]))
        except BlockingIOError:
            return None
        except BrokenPipeError:
            self.to_machine.clear()
            return None
        del self.to_machine[:done]
        return None
