"""`edge-agent spool`: what is stored and not sent, whether it is whole, its records, and giving them up."""

from __future__ import annotations

import argparse
import functools
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_agent.cli import _json, _view
from edge_agent.errors import EdgeAgentError
from edge_agent.records.values import STREAMS

if TYPE_CHECKING:
    from edge_agent.spool.survey import Survey

_PURGED = ("sample", "summary", "alarm")


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser(
        "spool",
        help="records on the disk: status, verify, export, purge",
        description="Looks at the records an agent has stored, checks that they are whole, writes them to a"
        " file, or gives them up. All but purge change nothing and may be called while the agent runs.",
    )
    orders = parser.add_subparsers(metavar="ORDER", title="orders", required=True)
    one = _order(orders, "status", _status, "how much is stored, sent, kept and free")
    one.add_argument("--socket", type=Path, help=_view.SOCKET_HELP)
    _order(orders, "verify", _verify, "read everything; status 1 and file and offset where it is damaged")
    one = _order(orders, "export", _export, "write records as they are, each behind its length (4 bytes)")
    one.add_argument("--stream", action="append", choices=STREAMS, help="only this one; may be repeated")
    one.add_argument("--unsent", action="store_true", help="only what is not acknowledged")
    one.add_argument("--output", type=Path, metavar="FILE", help="a new file; default: standard output")
    one = _order(orders, "purge", _purge, "give up everything that is stored, sent or not, and declare it")
    one.add_argument("--stream", action="append", choices=_PURGED, help="only this one; may be repeated")
    one.add_argument("--yes", action="store_true", help="do not ask")
    one.add_argument("--socket", type=Path, help=_view.SOCKET_HELP)


def _order(orders: Any, name: str, run: Any, text: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = orders.add_parser(
        name, help=text, description=f"{text[0].upper()}{text[1:]}."
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--path", type=Path, metavar="DIR", help="the spool's folder; default: the usual one")
    which.add_argument("--config", type=Path, metavar="FILE", help="the configuration that names it")
    parser.add_argument("--json", action="store_true", help="JSON; with export one object a value")
    parser.set_defaults(run=functools.partial(_allowed, run))
    return parser


def _allowed(run: Callable[[argparse.Namespace], int], options: argparse.Namespace) -> int:
    try:
        return run(options)
    except PermissionError as error:
        raise EdgeAgentError(f"{error.filename}: {error.strerror}\n    hint: use sudo") from error


def folder(options: argparse.Namespace) -> Path:
    """The spool that is meant. EdgeAgentError where there is none."""
    from edge_agent.model import SpoolDef

    path: Path = options.path or Path(SpoolDef().path)
    if options.config is not None:
        from edge_agent.profiles import load_site

        path = Path(load_site(options.config).spool.path)
    try:
        if path.is_dir() and any((path / stream).is_dir() for stream in STREAMS):
            return path
    except PermissionError as error:
        raise EdgeAgentError(f"spool {path}: {error.strerror}\n    hint: use sudo") from error
    raise EdgeAgentError(
        f"spool {path}: there is none\n    hint: --path DIR or --config FILE says where it is"
    )


def survey(options: argparse.Namespace) -> Survey:
    from edge_agent.spool.files import OsFiles
    from edge_agent.spool.survey import Survey

    return Survey(OsFiles(), folder(options))


def _status(options: argparse.Namespace) -> int:
    from edge_agent.cli import _spool_view
    from edge_agent.daemon import sockets, status
    from edge_agent.daemon.sockets import NoAgent

    if options.path is None and options.config is None:
        try:
            known = status.fetch(options.socket or sockets.default_path())["spool"]
        except NoAgent as error:
            if error.is_there or options.socket:
                raise
        else:
            print(_json.dumps(known, indent=2) if options.json else "\n".join(_spool_view.running(known)))
            return 0
    found = _spool_view.stock(survey(options))
    print(_json.dumps(found, indent=2) if options.json else "\n".join(_spool_view.stopped(found)))
    return 0


def _verify(options: argparse.Namespace) -> int:
    from edge_agent.cli import _spool_view

    look = survey(options)
    counts = {stream: sum(len(one.scan.seqs) for one in look.segments(stream)) for stream in STREAMS}
    look.births()
    look.state_files()
    found = {
        "path": str(look.root),
        "records": counts,
        "quarantined": look.quarantined(),
        "damage": [{"file": str(one.path), "offset": one.offset, "what": one.what} for one in look.damage],
    }
    print(_json.dumps(found, indent=2) if options.json else "\n".join(_spool_view.verified(found)))
    return 1 if look.damage else 0


def _export(options: argparse.Namespace) -> int:
    from edge_agent.cli import _spool_view

    look = survey(options)
    streams = options.stream or STREAMS
    records = _records(look, streams, unsent=options.unsent)
    chunks = (
        _spool_view.lines(look, records) if options.json
        else (len(data).to_bytes(4) + data for data in records)
    )  # fmt: skip
    if options.output is None:
        for chunk in chunks:
            sys.stdout.buffer.write(chunk)
        sys.stdout.buffer.flush()
    else:
        _write_new(options.output, chunks)
    for one in look.damage:
        print(f"edge-agent: {one.path}: {one.offset}: {one.what}", file=sys.stderr)
    return 0


def _records(look: Survey, streams: Any, *, unsent: bool) -> Iterator[bytes]:
    """Events first: they say what the others mean."""
    states = look.acknowledged() if unsent else {}
    for stream in sorted(streams, key=lambda stream: stream != "event"):
        for one in look.segments(stream):
            for position, _, data in one.records():
                if not unsent or position not in states[stream].acks:
                    yield data


def _write_new(path: Path, chunks: Iterator[bytes]) -> None:
    try:
        with path.open("xb") as file:
            for chunk in chunks:
                file.write(chunk)
    except OSError as error:
        hint = (
            "choose a name that is not taken"
            if isinstance(error, FileExistsError)
            else "choose another place"
        )
        raise EdgeAgentError(f"cannot write {path}: {error.strerror}\n    hint: {hint}") from error


def _purge(options: argparse.Namespace) -> int:
    from edge_agent.cli import _spool_purge

    path = folder(options)
    streams = tuple(options.stream or _PURGED)
    if not options.yes and not _spool_purge.agreed(path, streams):
        raise EdgeAgentError("nothing was purged\n    hint: --yes purges without asking")
    counts = _spool_purge.purge(path, streams, options.socket)
    if options.json:
        print(_json.dumps({"path": str(path), "purged": counts}))
    else:
        said = ", ".join(f"{count} of {stream}" for stream, count in counts.items())
        print(f"{path}: unsent records given up and declared: {said}")
    return 0
