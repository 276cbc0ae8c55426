"""A slave on a real pseudo-terminal whose replies are mutated, each piece at its time."""

from __future__ import annotations

import heapq
import os
import select
import threading
import time
import tty
from collections import Counter, deque
from random import Random

from edge_agent.simulator.wire import ReadPdu, is_rtu_frame, parse_pdu
from tests.contract.mutations import Case, Mutation, mutate

_SAID_BYTES = 4096
_REQUEST_BYTES = 8


class MutatingSlave:
    """Every unit id, at `path`, at the given pace. Close it behind the line."""

    def __init__(self, seed: int, *, char_ns: int, gap_ns: int, timeout_ns: int, flips: float) -> None:
        self._dice = Random(seed)
        self._char_ns, self._gap_ns, self._timeout_ns, self._flips = char_ns, gap_ns, timeout_ns, flips
        self.cases: dict[bytes, tuple[Case, Mutation]] = {}
        """By the request's bytes, the latest."""
        self.kinds: Counter[str] = Counter()
        self.served: deque[bytes] = deque(maxlen=400)
        self._said = b""
        self._due: list[tuple[int, int, bytes]] = []
        self._number = 0
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        self.path = os.ttyname(self._slave)
        self._wake, self._waker = os.pipe()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def said(self, frame: bytes) -> bool:
        """Whether these bytes went out lately, one after the other."""
        return frame in self._said

    def close(self) -> None:
        os.write(self._waker, b"x")
        self._thread.join(5)
        for descriptor in (self._master, self._slave, self._wake, self._waker):
            os.close(descriptor)

    def _serve(self) -> None:
        heard = b""
        while True:
            wait_s = max(0, self._due[0][0] - time.monotonic_ns()) / 1e9 if self._due else None
            ready, _, _ = select.select([self._master, self._wake], [], [], wait_s)
            if self._wake in ready:
                return
            if self._master in ready:
                heard += os.read(self._master, 4096)
            while len(heard) >= _REQUEST_BYTES:
                self._take(heard[:_REQUEST_BYTES])
                heard = heard[_REQUEST_BYTES:]
            while self._due and self._due[0][0] <= time.monotonic_ns():
                _, _, data = heapq.heappop(self._due)
                self._said = (self._said + data)[-_SAID_BYTES:]
                os.write(self._master, data)

    def _take(self, request: bytes) -> None:
        asked = parse_pdu(request[1:-2])
        assert is_rtu_frame(request) and isinstance(asked, ReadPdu), request.hex()
        data, begin_ns = self._dice.randbytes(2 * asked.count), self._dice.randrange(1_000_000)
        case = Case(request, data, begin_ns, self._char_ns, self._gap_ns, self._timeout_ns)
        good = Mutation("good", ((0, case.frame),))
        mutation = good if self._dice.random() < 0.5 else mutate(self._dice, case, self._flips)
        self.cases[request] = case, mutation
        self.served.append(data)
        self.kinds[mutation.kind] += 1
        at = time.monotonic_ns() + begin_ns
        for pause, piece in mutation.pieces:
            at += pause + len(piece) * self._char_ns
            self._number += 1
            heapq.heappush(self._due, (at, self._number, piece))
