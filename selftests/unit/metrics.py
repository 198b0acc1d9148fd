#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What blkcast-exporter offers is valid, and what is shipped to use it fits.

The metrics of made-up figures (test_metrics.c) are parsed by the rules of the
formats: names, labels, one block for each metric, counters that end in _total,
histograms that are cumulative and end in +Inf, state sets with one 1, no sample
twice. The dashboard and the alert rules are well-formed and name nothing that the
exporter does not have. promtool, where `make deps` has put it, has the last word.
"""
import json
import os
import pathlib
import re
import subprocess
import sys

TOP = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = TOP / ".build/selftests/unit/test_metrics"
PACKAGING = TOP / "tools/packaging"
PROMTOOL = pathlib.Path(os.environ.get("BLKCAST_CACHE", "/var/cache/blkcast")) / "promtool"

NAME = re.compile(r"[a-z][a-z0-9_]*$")
SAMPLE = re.compile(r'([a-z][a-z0-9_]*)(?:\{((?:[a-z_]+="[^"\\\n]*",?)*)\})? (\S+)$')
LABEL = re.compile(r'([a-z_]+)="([^"\\\n]*)"')
SUFFIXES = {"counter": ("_total",), "info": ("_info",),
            "histogram": ("_bucket", "_sum", "_count")}


class Invalid(Exception):
    """The text breaks a rule of its format."""


def need(condition, line, what):
    """Fail with the line at fault."""
    if not condition:
        raise Invalid(f"{what}: {line}")


class Parser:
    """One text, strictly."""

    def __init__(self, text, openmetrics):
        self.openmetrics = openmetrics
        self.types = {}
        self.units = {}
        self.helps = set()
        self.samples = {}
        self.family = None
        need(text.endswith("\n"), text[-20:], "no newline at the end")
        lines = text.splitlines()
        if openmetrics:
            need(lines.pop() == "# EOF", "", "no EOF")
        for line in lines:
            self.comment(line) if line.startswith("#") else self.sample(line)
        self.check_histograms()
        self.check_statesets()

    def comment(self, line):
        """HELP, TYPE, UNIT, in this order, of one family at a time."""
        _, kind, name, value = line.split(" ", 3)
        need(NAME.match(name), line, "bad name")
        if kind == "HELP":
            need(name not in self.helps, line, "family comes twice")
            need(value.endswith(".") and value[0].isupper() or value[0].isdigit(), line, "help")
            self.helps.add(name)
            self.family = name
        elif kind == "TYPE":
            need(name == self.family and name not in self.types, line, "out of place")
            self.types[name] = value
        elif kind == "UNIT":
            need(self.openmetrics and name.endswith("_" + value), line, "unit")
            self.units[name] = value
        else:
            need(False, line, "unknown comment")

    def sample(self, line):
        """One value, with labels in braces."""
        match = SAMPLE.match(line)
        need(match, line, "not a sample")
        name, labels, value = match.groups()
        kind = self.types.get(self.family)
        need(kind, line, "no type")
        suffixes = SUFFIXES.get(kind, ("",))
        if not self.openmetrics and kind != "histogram":
            suffixes = ("",)
        need(name in [self.family + s for s in suffixes], line, "not of this family")
        if kind == "counter":
            need(name.endswith("_total"), line, "a counter")
        elif kind != "histogram":
            need(not name.endswith(("_total", "_count", "_sum", "_bucket")), line, "no counter")
        pairs = tuple(sorted(LABEL.findall(labels or "")))
        need(len(dict(pairs)) == len(pairs), line, "label twice")
        need((name, pairs) not in self.samples, line, "sample twice")
        number = float(value)
        need(number == number and number >= 0, line, "value")
        self.samples[name, pairs] = number

    def check_histograms(self):
        """Cumulative, ascending, ending in +Inf, which is the count."""
        series = {}
        for (name, pairs), value in self.samples.items():
            if name.endswith("_bucket"):
                labels = dict(pairs)
                edge = float(labels.pop("le"))
                series.setdefault((name[:-7], tuple(sorted(labels.items()))), []).append(
                    (edge, value))
        for (name, labels), buckets in series.items():
            edges = [b[0] for b in buckets]
            counts = [b[1] for b in buckets]
            need(edges == sorted(edges) and edges[-1] == float("inf"), name, "edges")
            need(counts == sorted(counts), name, "not cumulative")
            need(self.samples[name + "_count", labels] == counts[-1], name, "count")
            need((name + "_sum", labels) in self.samples, name, "sum")

    def check_statesets(self):
        """Exactly one state holds."""
        sums = {}
        for (name, pairs), value in self.samples.items():
            labels = dict(pairs)
            if labels.pop(name, None) is not None:
                need(value in (0, 1), name, "state")
                key = (name, tuple(sorted(labels.items())))
                sums[key] = sums.get(key, 0) + value
        for key, total in sums.items():
            need(total == 1, key, "states at once")

    def names(self):
        """Of all samples."""
        return {name for name, _ in self.samples}


def text_of(form):
    """What the exporter writes."""
    return subprocess.run([PROGRAM, form], check=True, capture_output=True, text=True).stdout


def names_used(text):
    """Metrics named in an expression."""
    text = re.sub(r"\{[^{}]*\}", "", text)
    return set(re.findall(r"\bblkcast_[a-z0-9_]+", text))


def rule_expressions():
    """Of the alerts, without a YAML parser: each field is a line or folded."""
    text = (PACKAGING / "blkcast.rules.yml").read_text()
    return re.findall(r"expr: (?:>-\n)?((?:.*\n)(?: {10}(?!for:|labels:).*\n)*)", text)


def dashboard():
    """Parsed, with its panels looked at."""
    board = json.loads((PACKAGING / "blkcast-grafana.json").read_text())
    ids = [p["id"] for p in board["panels"]]
    need(len(ids) == len(set(ids)) > 10, ids, "panels")
    for panel in board["panels"]:
        grid = panel["gridPos"]
        need(grid["x"] + grid["w"] <= 24, panel["title"], "wider than the grid")
        need(all(t["expr"] for t in panel["targets"]), panel["title"], "no expression")
    variables = {v["name"] for v in board["templating"]["list"]}
    used = set(re.findall(r"\$(?!__)\{?([a-z]+)", json.dumps(board)))
    need(used <= variables, used - variables, "no such variable")
    return board


def formats_are_valid():
    """Both of them, with and without a module."""
    for form in ("text", "openmetrics"):
        need(len(Parser(text_of(form), form == "openmetrics").names()) > 30, form, "too few")


def parser_is_strict():
    """It refuses what is wrong, else it proves nothing."""
    good = text_of("text")
    Parser(good, False)
    for old, new in (("_total 3", " 3"), ('le="+Inf"} 3', 'le="+Inf"} 2'),
                     ('_state="down"} 1', '_state="down"} 0'), ("# TYPE blkcast_up", "# TIPE x"),
                     ("blkcast_up 1\n", "blkcast_up 1\nblkcast_up 1\n"),
                     ("blkcast_up 1\n", "blkcast_up one\n"), ('"data",', '"da"ta",')):
        need(old in good, old, "not there to be spoilt")
        try:
            Parser(good.replace(old, new, 1), False)
        except (Invalid, ValueError, KeyError):
            continue
        raise Invalid(f"accepted with {new}")


def dashboard_fits():
    """Well-formed, and names what there is."""
    have = Parser(text_of("text"), False).names()
    used = set()
    for panel in dashboard()["panels"]:
        for target in panel["targets"]:
            used |= names_used(target["expr"])
    need(used, used, "no metric used")
    need(used <= have, used - have, "no such metric")


def rules_fit():
    """They name what there is."""
    have = Parser(text_of("text"), False).names()
    expressions = rule_expressions()
    used = set().union(*map(names_used, expressions))
    need(len(expressions) >= 8, expressions, "too few rules")
    need(used <= have, used - have, "no such metric")


def promtool(*args, text=None):
    """Run it; its complaints are the error's text."""
    result = subprocess.run([PROMTOOL, *args], input=text, capture_output=True, text=True,
                            check=False)
    need(not result.returncode, result.stdout + result.stderr, "promtool")


def promtool_agrees():
    """With the metrics and with the rules."""
    promtool("check", "metrics", text=text_of("text"))
    promtool("check", "rules", str(PACKAGING / "blkcast.rules.yml"))


TESTS = [formats_are_valid, parser_is_strict, dashboard_fits, rules_fit, promtool_agrees]


def main():
    """KTAP."""
    failed = 0
    print(f"TAP version 13\n1..{len(TESTS)}")
    for number, test in enumerate(TESTS, 1):
        title = test.__name__.replace("_", " ")
        if test is promtool_agrees and not PROMTOOL.exists():
            print(f"ok {number} # SKIP {title}: no {PROMTOOL}")
            continue
        try:
            test()
        except (Invalid, OSError, subprocess.CalledProcessError, ValueError) as error:
            failed += 1
            print(f"# {error}\nnot ok {number} {title}")
        else:
            print(f"ok {number} {title}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
