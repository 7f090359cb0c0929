#!/usr/bin/python3
"""Stands in for QEMU in the runner's own tests: plays the serial console that the file $FAKE_CONSOLE describes.

One Python expression a line: bytes are sent, numbers slept, "echo" sends back a line of input, "image" lists the boot volume,
"ignore" lives on through SIGTERM, "wait" stays for ever. Its process id and arguments go to $FAKE_CONSOLE.pid.
"""
import os
import signal
import subprocess
import sys
import time


def send(data):
    os.write(1, data)


def read_line():
    line = b""
    while not line.endswith(b"\r"):
        byte = os.read(0, 1)
        if not byte:
            return line
        line += byte
    return line


def image_files():
    image = next(arg for arg in sys.argv if "file=" in arg).split("file=")[1].split(",")[0] + "@@1M"  # its partition
    listing = subprocess.run(["mdir", "-i", image, "-b", "-/", "::/"], capture_output=True, check=True).stdout
    names = listing.decode().split("\n")
    send(b"\r\n".join(name.encode() for name in names if name) + b"\r\n")
    for name in names:
        if name.endswith((".cfg", ".septum")):
            send(subprocess.run(["mtype", "-i", image, name], capture_output=True, check=True).stdout + b"\r\n")


def main():
    plan = os.environ["FAKE_CONSOLE"]
    with open(plan + ".pid", "a", encoding="ascii") as note:
        note.write(f"{os.getpid()} {' '.join(sys.argv[1:])}\n")
    for line in open(plan, encoding="ascii"):
        step = eval(line)  # pylint: disable=eval-used
        if isinstance(step, bytes):
            send(step)
        elif step == "echo":
            send(b"[" + read_line() + b"]")
        elif step == "image":
            image_files()
        elif step == "ignore":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        elif step == "wait":
            while True:
                time.sleep(60)
        else:
            time.sleep(step)


main()
