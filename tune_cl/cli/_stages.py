"""`tune-cl stages`: list, verify and prune the store of trained stages."""

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import Progress
from rich.table import Table

from tune_cl.api.places import results_folder
from tune_cl.cli._parser import made
from tune_cl.errors import TuneCLError
from tune_cl.options import StagesOptions, size
from tune_cl.records import given_folder
from tune_cl.store import Entry, Evicted, Holdings, Pruned, Upkeep, verify, winners_in
from tune_cl.text import bytes_text


def run(args: argparse.Namespace, argv: Sequence[str]) -> int:
    """Run `tune-cl stages`; returns the exit code."""
    options = made(StagesOptions, args)
    results = results_folder(options)
    folder = results / "stages" if options.stages is None else given_folder(options.stages, "--stages")
    if not folder.is_dir():
        raise TuneCLError(f"{folder}: no such folder of stages; name one with --stages DIR, or --results DIR")
    console = Console(highlight=False, soft_wrap=True)
    try:
        if options.verb == "list":
            return _list(folder, console, as_json=args.json)
        if options.verb == "verify":
            return _verify(folder, console)
        return _prune(folder, console, options, args.dry_run)
    except OSError as error:
        raise TuneCLError(f"{error.filename or folder}: cannot be read ({error.strerror})") from None


def _list(folder: Path, console: Console, *, as_json: bool) -> int:
    holdings = Upkeep(folder).inventory.scan()
    rows = _rows(holdings)
    if as_json:
        print(json.dumps({"stages": rows, "leftovers": _leftovers(holdings), "bytes": holdings.bytes}, indent=2))
        return 0
    table = Table(box=None, padding=(0, 2, 0, 0))
    for name in ("stage", "increment", "kind", "stream so far", "seed", "on"):
        table.add_column(name, no_wrap=True)
    for name in ("size", "trained in", "age", "built on by"):
        table.add_column(name, no_wrap=True, justify="right")
    table.add_column("needed by", overflow="fold")
    for row in rows:
        if row["damaged"] or row["kind"] is None:
            what = "damaged" if row["damaged"] else "cannot be read now"
            table.add_row(row["key"][:12], "", what, "", "", "", bytes_text(row["bytes"]), "", _age(row["age_seconds"]))
            continue
        table.add_row(
            row["key"][:12],
            str(row["increment"]),
            str(row["kind"]),
            row["stream"],
            str(row["train_seed"]),
            str(row["device"]),
            bytes_text(row["bytes"]),
            _age(row["seconds"]),
            _age(row["age_seconds"]),
            str(row["descendants"]),
            escape("; ".join(row["pinned_by"])),
        )
    if rows:
        console.print(table)
    trained = sum(row["seconds"] or 0 for row in rows)
    pinned = sum(bool(row["pinned_by"]) for row in rows)
    in_all = bytes_text(sum(row["bytes"] for row in rows))
    console.print(
        escape(f"{folder}: {_count(len(rows), 'stage')}, {in_all}, {_age(trained)} of training; {pinned} needed")
    )
    for line in _leftover_lines(holdings):
        console.print(escape(line))
    return 0


def _rows(holdings: Holdings) -> list[dict[str, Any]]:
    """A line per stage, those of one stream and seed side by side, in the order of training."""
    descendants, now = holdings.descendants(), time.time()
    rows = [
        {
            "key": entry.key,
            **_about(entry),
            "bytes": entry.bytes,
            "seconds": entry.record.seconds if entry.record else None,
            "age_seconds": max(0.0, now - entry.published),
            "descendants": descendants[entry.key],
            "pinned_by": list(holdings.pinned.get(entry.key, ())),
            "damaged": entry.damaged,
        }
        for entry in holdings.entries.values()
    ]
    return sorted(rows, key=lambda row: (str(row["stream"]), str(row["train_seed"]), -row["age_seconds"], row["key"]))


def _about(entry: Entry) -> dict[str, Any]:
    """What a stage is, out of its ingredients."""
    ingredients: dict[str, Any] = entry.record.ingredients if entry.record else {}
    stream, phase = ingredients.get("stream", {}), ingredients.get("phase", {})
    classes, shape = stream.get("classes", []), stream.get("image_shape", [])
    data = str(stream.get("fingerprint", ""))[:6]
    arrived = "+".join(str(len(labels)) for labels in classes)
    return {
        "increment": len(classes) - 1 if classes else None,
        "phase": phase.get("name"),
        "kind": f"{phase['kind']}/{phase.get('version')}" if "kind" in phase else None,
        "stream": f"{data} {'x'.join(map(str, shape))}, {arrived} of {stream['n_classes']}" if classes else "",
        "train_seed": ingredients.get("train_seed"),
        "device": ingredients.get("numerics", {}).get("device"),
        "parent": entry.parent,
    }


def _leftovers(holdings: Holdings) -> list[dict[str, Any]]:
    now = time.time()
    return [
        {
            "kind": item.kind,
            "path": str(item.path),
            "key": item.key,
            "bytes": item.bytes,
            "age_seconds": max(0.0, now - item.touched),
            "worthless": item.worthless,
            "pinned_by": list(holdings.pinned.get(item.key, ())),
        }
        for item in holdings.leftovers
    ]


def _leftover_lines(holdings: Holdings) -> list[str]:
    """What is in the store besides stages, a line per kind."""
    words = {"draft": "draft", "checkpoint": "checkpoint", "damaged": "damaged stage"}
    lines = []
    for kind, word in words.items():
        items = [item for item in holdings.leftovers if item.kind == kind]
        if items:
            useless = sum(item.worthless is not None for item in items)
            total = bytes_text(sum(item.bytes for item in items))
            lines.append(f"besides: {_count(len(items), word)}, {total}; nobody needs {useless}")
    return lines


def _verify(folder: Path, console: Console) -> int:
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("reading", total=None)
        found = verify(folder, lambda done, of: bar.update(task, completed=done, total=of))
    for fault in found.faults:
        where = "set aside" if fault.set_aside else "left where it is"
        print(f"{fault.key}: {fault.what}; {where}", file=sys.stderr)
    checked = f"{folder}: {_count(found.checked, 'stage')} read, {bytes_text(found.bytes)}"
    if found.sound:
        console.print(escape(f"{checked}; all are sound"))
        return 0
    console.print(escape(f"{checked}; {len(found.faults)} not sound, to be trained again where they are needed"))
    return 1


def _prune(folder: Path, console: Console, options: StagesOptions, dry_run: bool) -> int:
    upkeep, code, budget = Upkeep(folder), 0, options.budget
    if options.leftovers:
        _tell(upkeep.clear(dry_run=dry_run), console, dry_run)
    if budget is not None:
        winners = winners_in(results_folder(options))
        pruned = upkeep.enforce(size(budget, "--budget"), winners, dry_run=dry_run)
        _tell(pruned, console, dry_run)
        if pruned.complaint:
            print(f"tune-cl: {folder}: {pruned.complaint}", file=sys.stderr)
            code = 1
    if dry_run:
        console.print("Nothing was removed.")
    return code


def _tell(pruned: Pruned, console: Console, dry_run: bool) -> None:
    for item in pruned.evicted:
        console.print(escape(_line(item, dry_run)))
    kinds = Counter(item.kind for item in pruned.evicted)
    words = {"damaged": "damaged stage"}
    what = ", ".join(_count(n, words.get(kind, kind)) for kind, n in kinds.items()) or "nothing"
    freed = bytes_text(sum(item.bytes for item in pruned.evicted))
    console.print(
        f"{'would remove' if dry_run else 'removed'} {what}, {freed}; "
        f"{bytes_text(pruned.before)} before, {bytes_text(pruned.after)} after"
    )


def _line(item: Evicted, dry_run: bool) -> str:
    cost = f", {_age(item.seconds)} of training" if item.seconds is not None else ""
    verb = "would remove" if dry_run else "removed"
    return f"{verb} {item.kind} {item.key[:12]}: {bytes_text(item.bytes)}{cost}; {item.why}"


def _age(seconds: float) -> str:
    """A time in its largest fitting unit."""
    for unit, length in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.1f} s"


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}{'' if n == 1 else 's'}"
