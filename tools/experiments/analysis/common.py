"""What analyses share."""
POLICIES = ("none", "scan", "fault", "block", "ready", "hot")


def in_order(names, known=POLICIES):
    """Names in the order of `known`, others behind them."""
    return sorted(names, key=lambda name: (known.index(name) if name in known else len(known), str(name)))


def varying(samples, leave=()):
    """The parameters that are not the same in all samples: runs that differ in them are not averaged."""
    columns = [c for c in samples.columns if c.startswith("parameters.") and c not in leave]
    return [c for c in columns if samples[c].nunique(dropna=False) > 1]


def headings(columns):
    """Titles of parameters' columns."""
    return {c: c.partition(".")[2] for c in columns if c.startswith("parameters.")}


def groups(frame, keys):
    """(tuple of the keys' values, rows) of each group, whatever version of pandas."""
    for names, rows in frame.groupby(keys if len(keys) > 1 else keys[0], sort=True, dropna=False):
        yield names if isinstance(names, tuple) else (names,), rows
