from __future__ import annotations

import os
import re
import threading
import time

from partywall.trail import ids
from partywall.trail.ids import new_decision_id


def test_an_id_is_dec_then_milliseconds_then_eighty_random_bits() -> None:
    before = time.time_ns() // 1_000_000
    made = new_decision_id()
    after = time.time_ns() // 1_000_000
    assert re.fullmatch(r"dec_[0-9a-f]{12}[0-9a-f]{20}", made)
    assert before <= int(made[4:16], 16) <= after


def test_ids_of_later_milliseconds_sort_later() -> None:
    first = new_decision_id()
    time.sleep(0.003)
    assert first < new_decision_id()


def test_no_two_threads_get_the_same_id() -> None:
    made: list[list[str]] = [[] for _ in range(4)]
    threads = [
        threading.Thread(target=lambda mine=mine: mine.extend(new_decision_id() for _ in range(3000))) for mine in made
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({one for mine in made for one in mine}) == 12_000


def test_a_fork_does_not_repeat_its_parents_randomness() -> None:
    new_decision_id()
    assert ids._pool, "the pool must hold something that a fork could copy"
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:  # pragma: no cover - runs in the child
        tails = ",".join(new_decision_id()[16:] for _ in range(50))
        os.write(write_end, tails.encode())
        os._exit(0)
    os.waitpid(child, 0)
    theirs = set(os.read(read_end, 65_536).decode().split(","))
    os.close(read_end)
    os.close(write_end)
    ours = {new_decision_id()[16:] for _ in range(300)}
    assert len(theirs) == 50
    assert not theirs & ours
