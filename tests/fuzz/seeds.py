#!/usr/bin/python3
"""Turns seeds.txt into one input file of the fuzzer for each seed.

  seeds.py TEXT DIRECTORY [ABI_HEADER]

The header (sim/module/abi.h) gives leafs their numbers. The format of an input is described in tests/fuzz/program.c.
"""
import pathlib
import re
import sys

WORLDS = ["fresh", "system", "building", "running", "debug", "wide", "teardown", "nested", "resize", "crowd"]
STEPS = {"call": 0, "td": 1, "exit": 2, "set": 3, "write": 4, "knob": 5}
TDR_BYTES = [0, 160]


def operand(text):
    kind, *rest = text.split(":")
    if not rest:
        return int(text, 0)
    numbers = [int(number, 0) for number in rest]
    if kind == "gpa":
        return numbers[0] | numbers[1] << 3
    if kind == "tdr":
        return TDR_BYTES[numbers[0]]
    if kind in ("vcpu", "ctl"):
        return numbers[0]
    raise ValueError(f"operand {text}: gpa:LEVEL:REGION, tdr:N, vcpu:N, ctl:N or a number")


def step(words, leaves):
    code = bytearray(8)
    code[0] = STEPS[words[0]]
    code[1] = leaves[words[1]] if words[1] in leaves else int(words[1], 0)
    at = 2
    for word in words[2:]:
        if word == "lp1":
            code[0] |= 8
        elif word == "off":
            code[0] |= 0x40
        elif re.fullmatch("v[1-3]", word):
            code[0] |= int(word[1]) << 4
        elif word.startswith("mid="):
            code[0] |= 0x80
            code[7] = int(word[4:])
        elif word.startswith("more="):
            code[6] = int(word[5:])
        else:
            code[at] = operand(word)
            at += 1
    return code


def main():
    text, directory = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    header = pathlib.Path(sys.argv[3]) if len(sys.argv) > 3 else text.parents[2] / "sim/module/abi.h"
    leaves = {name: int(number) for name, number in re.findall(r"\b(TD[HG]_\w+) = (\d+)", header.read_text())}
    directory.mkdir(parents=True, exist_ok=True)
    seeds = {}
    for number, line in enumerate(text.read_text().splitlines(), 1):
        words = line.split("#")[0].split()
        try:
            if words and words[0] == "seed":
                name = words[1]
                seeds[name] = bytearray([WORLDS.index(words[2]), 0])
            elif words:
                seeds[name] += step(words, leaves)
        except (ValueError, KeyError, IndexError, NameError) as error:
            sys.exit(f"{text}:{number}: {line!r}: {error}")
    for name, code in seeds.items():
        (directory / name).write_bytes(code)


if __name__ == "__main__":
    main()
