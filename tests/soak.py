"""``python -m tests.soak --times N PATH...``: the tests below the paths so many times, each time in another order, until one fails.

Each time is a process of its own, which fails where a thread, a child or a socket is left (``tests/conftest.py``,
``tests/support/shuffled.py``). The seed of a time that failed is printed with the command that repeats its order.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence

from seatrial.clock import SYSTEM_CLOCK
from seatrial.seeds import derive, new_root_seed

_LONGEST_S = 900
_TOLD_EVERY = 10


def command(seed: int, paths: Sequence[str]) -> list[str]:
    """What repeats one time."""
    options = ["-q", "-p", "no:cacheprovider", "-p", "tests.support.shuffled", "--order-seed", str(seed)]
    return [sys.executable, "-m", "pytest", *options, *paths]


def main(argv: Sequence[str]) -> int:
    """Exit 1 with the output of the first time that failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__.splitlines()[0])
    parser.add_argument("--times", type=int, default=200)
    parser.add_argument("--seed", type=int, default=None, help="decides all orders; another one each time by default")
    parser.add_argument("paths", nargs="+", metavar="PATH")
    options = parser.parse_args(argv)
    root = new_root_seed() if options.seed is None else options.seed
    print(f"seed {root}", flush=True)
    began_s = SYSTEM_CLOCK.monotonic_s()
    for time in range(1, options.times + 1):
        argv = command(derive(root, "soak", time) >> 32, options.paths)
        done = subprocess.run(argv, capture_output=True, text=True, timeout=_LONGEST_S, check=False)
        if done.returncode != 0:
            print(done.stdout, done.stderr, f"FAILED at time {time} of {options.times}; again: {' '.join(argv)}", sep="\n")
            return 1
        if time % _TOLD_EVERY == 0 or time == options.times:
            print(f"{time} of {options.times}, {SYSTEM_CLOCK.monotonic_s() - began_s:.0f} s: {done.stdout.splitlines()[-1]}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
