"""What an analysis says of one machine: sentences, tables and pictures, kept for the report and for docs/findings.md.

A number in a table is named EXPERIMENT.TABLE.ROW.COLUMN: each table has a name, its first `keys` columns name a row.
"""
from experiments import draw
from experiments.words import plain, slug


class Part:
    """The answers for one machine. `folder`: where pictures go, as FOLDER/EXPERIMENT/..."""

    def __init__(self, folder, experiment, machine):
        self.folder, self.experiment, self.machine = folder, experiment, machine
        self.says, self.tables, self.pictures, self.setup = [], [], [], {}

    def say(self, text):
        """A sentence of what is seen. Its numbers are computed."""
        self.says.append(text)

    def table(self, name, frame, caption, keys=1, titles=None):
        """A data frame as a table; its first `keys` columns name the rows. titles: {column: heading}."""
        titles = titles or {}
        columns = [{"id": str(column), "title": titles.get(column, str(column))} for column in frame.columns]
        rows = [[plain(value) for value in row] for row in frame.itertuples(index=False)]
        self.tables.append({"name": name, "caption": caption, "keys": keys, "columns": columns, "rows": rows})

    def picture(self, name, make, caption, **sizes):
        """make(figure, narrow) draws; see draw.picture()."""
        file = f"{self.experiment}/{slug(self.machine)}-{name}"
        draw.picture(self.folder / file, make, self.machine, **sizes)
        self.pictures.append({"name": name, "file": file, "caption": caption})

    def as_json(self):
        return {
            "machine": self.machine,
            "setup": self.setup,
            "says": self.says,
            "tables": self.tables,
            "pictures": self.pictures,
        }
