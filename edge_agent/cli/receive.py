"""`edge-agent receive`: the reference receiver."""

from __future__ import annotations

import argparse
import socket
from typing import TYPE_CHECKING

from edge_agent.cli._seconds import seconds
from edge_agent.errors import InputError

if TYPE_CHECKING:
    from threading import Event

    from edge_agent.clock import Clock
    from edge_agent.model import MonoNs
    from edge_agent.uplink.connection.wire import ConnectOptions

_KEEP_S = 7 * 24 * 3600
"""How long the broker is asked to keep what arrives while no receiver is connected."""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser(
        "receive",
        help="the reference receiver: show every value, prove that none is missing",
        description="Subscribes to agents, decodes their records, prints one line per value, and checks that "
        "every record is there or declared lost. Ends with one line of counts. The broker keeps what arrives "
        "while the receiver is away, under its client id. With --to, stores each record once in a database.",
    )
    add = parser.add_argument
    add("--url", required=True, help="broker, for example mqtt://127.0.0.1:1883 or mqtts://broker:8883")
    add("--json", action="store_true", help="one JSON object a line")
    add("--ack", action="store_true", help="tell each agent up to where everything has arrived (dn/ack)")
    add("--site", default="", help="only this site")
    add("--agent", default="", help="only this agent")
    add(
        "--client-id",
        default="",
        help="under which the broker keeps messages for this receiver",
    )
    add(
        "--to",
        default="",
        metavar="DATABASE",
        help="store everything there instead of printing it: sqlite:FILE or postgresql://HOST/NAME "
        "(docs/receiver.md)",
    )
    add("--schema", default="edge_agent", help="schema in PostgreSQL")
    add(
        "--partition",
        choices=("day", "month"),
        default="day",
        help="of a new schema in PostgreSQL: what can be dropped at once",
    )
    add(
        "--share",
        default="",
        metavar="GROUP",
        help="share the records with the other receivers of this group (MQTT 5; needs --to and --client-id)",
    )
    add(
        "--fill",
        type=seconds,
        default=0.0,
        metavar="SECONDS",
        help="ask the agent for records that are missing for so long (dn/replay; needs --to)",
    )
    add("--state", default="", metavar="FILE", help="remember dictionaries and what was seen over restarts")
    add("--seconds", type=seconds, default=0.0, help="end after this time")
    add("--protocol", choices=("auto", "5", "3.1.1"), default="auto", help="MQTT version")
    add("--username", default="", help="user name at the broker")
    add("--password-file", default="", metavar="FILE", help="file with the password")
    add("--ca", default="", metavar="FILE", help="certificate authority (PEM); default: the system's")
    add("--cert", default="", metavar="FILE", help="client certificate (PEM)")
    add("--key", default="", metavar="FILE", help="its key (PEM)")
    add("--insecure", action="store_true", help="allow plain MQTT beyond this machine")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Until SIGTERM, SIGINT or --seconds; then the closing line."""
    import logging
    import signal
    import sys
    from threading import Event

    from edge_agent.kernels import selftest
    from edge_agent.records import columns

    _check(args)
    logging.basicConfig(format="edge-agent: %(message)s", level=logging.INFO, stream=sys.stderr)
    columns.use(selftest.tested())
    stop = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return _store(args, stop) if args.to else _show(args, stop)


def _show(args: argparse.Namespace, stop: Event) -> int:
    import sys
    from pathlib import Path

    from edge_agent.cli import _json
    from edge_agent.clock import SystemClock
    from edge_agent.counters import Counters
    from edge_agent.receiver import objects, text
    from edge_agent.receiver.receiver import Receiver

    line = _json.dumps if args.json else text.line
    clock = SystemClock()
    options, auto_version = _options(args)
    receiver = Receiver(
        options,
        lambda item: print(line(item)),
        sys.stdout.flush,
        clock,
        Counters(),
        auto_version=auto_version,
        site=args.site,
        agent=args.agent,
        state_file=Path(args.state) if args.state else None,
        ack=args.ack,
    )
    counts = receiver.run(stop, _until(args, clock))
    for hole in receiver.continuity.missing():
        print(line(objects.missing(hole)))
    print(line(counts.closing()))
    # The warnings above said why, if it never came to a connection.
    return 0 if receiver.was_connected else 1


def _store(args: argparse.Namespace, stop: Event) -> int:
    from dataclasses import replace

    from edge_agent.cli import _json
    from edge_agent.clock import SystemClock
    from edge_agent.counters import Counters
    from edge_agent.model import NS
    from edge_agent.receiver import text
    from edge_agent.receiver.database.connect import database
    from edge_agent.receiver.database.store import Store
    from edge_agent.receiver.ingest import WINDOW, Ingest, IngestOptions

    clock = SystemClock()
    options, auto_version = _options(args)
    wanted = IngestOptions(
        site=args.site, agent=args.agent, group=args.share, auto_version=auto_version and not args.share,
        ack=args.ack, fill_after_ns=round(args.fill * NS),
    )  # fmt: skip
    store = Store(database(args.to, args.schema, args.partition), clock)
    ingest = Ingest(replace(options, receive_maximum=WINDOW), store, clock, Counters(), wanted)
    counts = ingest.run(stop, _until(args, clock))
    print((_json.dumps if args.json else text.line)(counts.closing()))
    return 0 if ingest.was_connected and ingest.was_stored else 1


def _until(args: argparse.Namespace, clock: Clock) -> MonoNs | None:
    from edge_agent.model import NS, MonoNs

    return MonoNs(clock.mono_ns() + round(args.seconds * NS)) if args.seconds > 0 else None


def _check(args: argparse.Namespace) -> None:
    """InputError for options that do not belong together, all of them at once."""
    from edge_agent.cli._problems import Problems
    from edge_agent.uplink import topics

    problems = Problems()
    for option, name in (("--site", args.site), ("--agent", args.agent), ("--share", args.share)):
        if name and not topics.is_name(name):
            problems.add(option, "no name of a topic", name)
    for option, value in (("--share", args.share), ("--fill", args.fill)):
        if value and not args.to:
            problems.add(option, "needs a database", value, "name one with --to")
    if args.to and args.state:
        problems.add("--state", "the database is the state", args.state, "leave --state out")
    if args.share and not args.client_id:
        problems.add(
            "--share", "each receiver of a group needs a name of its own", args.share,
            "name it with --client-id, and keep the name: the broker holds its share of the records under it",
        )  # fmt: skip
    if args.share and args.protocol == "3.1.1":
        problems.add("--share", "MQTT 3.1.1 has no shared subscriptions", args.share, "leave --protocol out")
    if problems.all:
        raise InputError(problems.all)


def _options(args: argparse.Namespace) -> tuple[ConnectOptions, bool]:
    """The connection of the command line; UplinkError when it cannot be used."""
    from edge_agent.uplink.connection import address
    from edge_agent.uplink.connection.link import versions
    from edge_agent.uplink.connection.wire import ConnectOptions

    version, auto_version = versions(args.protocol)
    options = ConnectOptions(
        address=address.parse(args.url, insecure=args.insecure),
        login=address.Login(
            username=args.username, password_file=args.password_file, ca=args.ca, cert=args.cert, key=args.key
        ),
        client_id=args.client_id or _client_id(args),
        protocol=version,
        clean=False,
        session_expiry_s=_KEEP_S,
        manual_ack=True,
    )
    return options, auto_version


def _client_id(args: argparse.Namespace) -> str:
    """Stable, so that the broker knows us again; with what we subscribe to, so that two receivers of
    one machine with different tasks do not throw each other out."""
    return f"ea1-receive-{socket.gethostname()}-{args.site or 'all'}-{args.agent or 'all'}"
