"""The rows, in the order in which they are measured: (name, function of the bench). A row measures,
calls Bench.add() for each line of the table, and raises Skip where it cannot. To add one: a function,
and a line in its module's ROWS."""

from rows import complete, cost, files, load, oracles, races, scale, start

ROWS = (complete.ROWS + start.ROWS + oracles.ROWS + races.ROWS + cost.ROWS + load.ROWS + scale.ROWS +
        files.ROWS)
