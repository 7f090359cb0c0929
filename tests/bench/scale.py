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

LIMIT_S = 1200
OPERATIONS = {"fault_4k": "4K fault, same region", "fault_4k_elsewhere": "4K fault, another region", "fault_2m": "2M fault",
              "convert_8": "convert 8 pages of a 2M leaf", "back_8": "convert 8 pages back", "merge_1": "merge a region",
              "look": "look (walk)"}
COLOURS = ("#1b6ca8", "#5aa9e6", "#2a9d8f", "#c1121f", "#f4a261", "#6a4c93", "#555555")
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 760, 420, 70, 230, 30, 50
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

    def x(size):
        return LEFT + (size - sizes[0]) / (sizes[-1] - sizes[0]) * (WIDTH - LEFT - RIGHT)

    def y(count):
        return HEIGHT - BOTTOM - (math.log10(count) - low) / (high - low) * (HEIGHT - TOP - BOTTOM)

    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" font-family="sans-serif" font-size="12">',
           '<rect width="100%" height="100%" fill="white"/>']
    for power in range(low, high + 1):
        at = y(10 ** power)
        out += [f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at:.1f}" y2="{at:.1f}" stroke="#ddd"/>',
                f'<text x="{LEFT - 8}" y="{at + 4:.1f}" text-anchor="end">{10 ** power}</text>']
    for size, row in zip(sizes, rows):
        label = f"{row['td_gib']} GiB" if row["td_gib"] < 1024 else f"{row['td_gib'] // 1024} TiB"
        out.append(f'<text x="{x(size):.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{label}</text>')
    for colour, (name, label) in zip(COLOURS, OPERATIONS.items()):
        points = " ".join(f"{x(size):.1f},{y(row[name]):.1f}" for size, row in zip(sizes, rows))
        out.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>')
        out += [f'<circle cx="{point.split(",")[0]}" cy="{point.split(",")[1]}" r="3" fill="{colour}"/>' for point in points.split()]
        nudge = {"fault_4k_elsewhere": 0, "fault_4k": 8, "fault_2m": 8, "look": -2, "back_8": 0, "merge_1": 10}.get(name, 0)
        out.append(f'<text x="{WIDTH - RIGHT + 10}" y="{y(rows[-1][name]) + 4 + nudge:.1f}" fill="{colour}">{label}</text>')
    out += [f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 10}" text-anchor="middle">size of the TD</text>',
            f'<text x="{LEFT}" y="18">instructions of the VMM outside SEAMCALL</text>', "</svg>"]
    return "\n".join(out) + "\n"


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
