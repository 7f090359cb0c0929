"""An experiment without an analysis of its own: its samples as a table, without what is the same in all of them."""
TITLE = ""
QUESTION = ""
ROWS_MAX = 60
NOT_SHOWN = ("log", "line", "machine", "experiment", "platform", "sample")


def analyse(samples, part):
    shown = [c for c in samples.columns if c not in NOT_SHOWN and samples[c].nunique(dropna=False) > 1] or ["sample"]
    table = samples[shown].head(ROWS_MAX)
    table.insert(0, "n", range(1, len(table) + 1))
    some = f"The first {ROWS_MAX} of {len(samples)}" if len(samples) > ROWS_MAX else f"All {len(samples)}"
    part.table("samples", table, f"{some} samples; what is the same in all is left out.")
