"""Shows a part of the report: what is not whole, or one keyspace. Without a script, which the page may not run."""

from collections.abc import Sequence

from tablesnap.cli.tablelist.report.markup import Markup, element, together

OUTSIDE = "outside Cassandra"


class Filter:
    """Remembers which keyspaces there are on the page, while it is written."""

    def __init__(self) -> None:
        self._marks: dict[str, str] = {}

    def mark(self, keyspace: str) -> str:
        """Return how what belongs to a *keyspace* is marked, by ``data-of``; an empty one is outside Cassandra."""
        return self._marks.setdefault(keyspace, f"k{len(self._marks)}")

    def draw(self) -> Markup:
        """Return the choice, for all that has been marked so far; empty where there is nothing to choose from."""
        marks = sorted(self._marks.items(), key=lambda pair: (not pair[0], pair[0]))
        choices: Sequence[Markup] = [
            element("option", "everything", value="all", selected="selected"),
            element("option", "what is not whole", value="faulty"),
            *(element("option", keyspace or OUTSIDE, value=mark) for keyspace, mark in marks),
        ]
        # An element that is marked otherwise is not shown, nor what folds such elements away.
        rules = [":root:has(option[value=faulty]:checked) [data-whole]{display:none}"]
        rules += [
            f":root:has(option[value={mark}]:checked) [data-of]:not([data-of~={mark}]){{display:none}}"
            for _, mark in marks
        ]
        show = element("label", "Show ", element("select", *choices, autocomplete="off"))
        return together((element("p", show, class_="filter"), Markup(f"<style>{''.join(rules)}</style>\n")))
