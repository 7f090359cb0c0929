#!/usr/bin/python3
"""What the size of a TD costs: runs tests/bench/scale.c's program, prints its tables as docs/benchmarks.md has them, draws a picture.

  scale.py PROGRAM PICTURE.svg

Ends with status 1 where an operation's instructions differ by more than 10% between any two sizes.
"""
import json
import math
import pathlib
import subprocess
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent.parent / "tools"))

from pictures.svg import COLOURS, Chart  # noqa: E402

LIMIT_S = 1200
OPERATIONS = {"fault_4k": "4K fault, same region", "fault_4k_elsewhere": "4K fault, another region", "fault_2m": "2M fault",
              "convert_8": "convert 8 pages of a 2M leaf", "back_8": "convert 8 pages back", "merge_1": "merge a region",
              "look": "look (walk)"}
FLAT = 1.1


def rows_of(program, what):
    done = subprocess.run([program, what], stdout=subprocess.PIPE, timeout=LIMIT_S, check=True, text=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def print_sizes(rows):
    print("| TD, GiB | " + " | ".join(OPERATIONS.values()) + " | slot, bytes a GiB | tables a GiB at 2M | at 4K |")
    print("|---" * (len(OPERATIONS) + 4) + "|")
    for row in rows:
        counts = " | ".join(str(row[name]) for name in OPERATIONS)
        print(f"| {row['td_gib']} | {counts} | {row['slot_bytes']} | {row['tables_2m_bytes']} | {row['tables_4k_bytes']} |")


def print_threads(rows):
    print("| | 1 thread, a second | 2 threads | ratio |\n|---|---|---|---|")
    for row in rows:
        print(f"| {row['kind']} | {row['per_s_1'] / 1e6:.2f} M | {row['per_s_2'] / 1e6:.2f} M | {row['ratio']:.2f} |")


def is_flat(rows):
    uneven = [name for name in OPERATIONS if max(row[name] for row in rows) > FLAT * min(row[name] for row in rows)]
    print(f"\nwithin {FLAT - 1:.0%} over all sizes: {'all' if not uneven else 'not ' + ', '.join(uneven)}")
    return not uneven


def draw(rows):
    """Instructions over size, both axes logarithmic."""
    low, high = 2, math.ceil(math.log10(max(row[name] for row in rows for name in OPERATIONS)))
    sizes = [math.log2(row["td_gib"]) for row in rows]
    chart = Chart((sizes[0], sizes[-1]), (low, high))

    for power in range(low, high + 1):
        chart.y_tick(power, str(10 ** power))
    for size, row in zip(sizes, rows):
        chart.x_tick(size, f"{row['td_gib']} GiB" if row["td_gib"] < 1024 else f"{row['td_gib'] // 1024} TiB")
    for colour, (name, label) in zip(COLOURS, OPERATIONS.items()):
        nudge = {"fault_4k_elsewhere": 0, "fault_4k": 8, "fault_2m": 8, "look": -2, "back_8": 0, "merge_1": 10}.get(name, 0)
        chart.series([(size, math.log10(row[name])) for size, row in zip(sizes, rows)], label, colour, nudge)
    return chart.text("size of the TD", "instructions of the VMM outside SEAMCALL")


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    rows = rows_of(sys.argv[1], "sizes")
    print_sizes(rows)
    flat = is_flat(rows)
    pathlib.Path(sys.argv[2]).write_text(draw(rows), encoding="ascii")
    print()
    print_threads(rows_of(sys.argv[1], "threads"))
    sys.exit(0 if flat else 1)


if __name__ == "__main__":
    main()
