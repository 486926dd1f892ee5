"""Rows of a long measurement that are done, kept in a file so that a later call goes on from there.

A line of JSON each: {"name", "threads", "with", "results"}. `with` is all that must be the same for the results to
stand: the build, the peer, the number of turns. A line is written whole and at once when its row is done, and never
changed; the last line for a row counts. A line without its end, cut off with the call that wrote it, is taken away.
"""
import json
import os


class NotOurs(Exception):
    """The file holds something else; it is left as it is."""


class FinishedRows:
    def __init__(self, path, say):
        """path: None for none. say: takes a sentence for the user."""
        self.path, self.say, self.lines = path, say, {}
        if path is None:
            return
        path.open("ab").close()  # what cannot be written should be known before an hour of measuring
        whole, end, cut = path.read_bytes().rpartition(b"\n")
        for number, line in enumerate((whole + end).splitlines(), 1):
            try:
                row = json.loads(line)
                row.get("with", {}).items()
                self.lines[row["name"], row["threads"]] = row
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise NotOurs(f"{path}, line {number}: not a finished row") from error
        if cut and not cut.startswith(b"{"):
            raise NotOurs(f"{path}, last line: not a finished row")
        if cut:
            say(f"{path}: the last line is cut and dropped")
            os.truncate(path, len(whole + end))

    def results(self, name, threads, measured_with):
        """None where the row has to be measured; says so where the file has it, but measured with something else."""
        row = self.lines.get((name, threads))
        if row is None:
            return None
        had = row.get("with", {})
        if other := [what for what, value in measured_with.items() if had.get(what) != value]:
            changed = " and ".join(other)
            self.say(f"{name}, {threads} threads: {self.path} has it, but {changed} changed; measured again")
            return None
        return row["results"]

    def add(self, name, threads, measured_with, results):
        if self.path is None:
            return
        row = {"name": name, "threads": threads, "with": measured_with, "results": results}
        with self.path.open("ab") as file:
            file.write(json.dumps(row).encode() + b"\n")
