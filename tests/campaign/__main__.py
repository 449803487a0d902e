"""`python -m tests.campaign`, which is `make soak`: everything goes wrong for a while; exit code 1 if a promise was broken."""

import argparse
import random
import sys
import tempfile
from pathlib import Path

from tests.campaign.campaign import Plan, run
from tests.campaign.report import summary, write


def main() -> None:
    """Print the seed first: with it the same campaign can be made again."""
    parser = argparse.ArgumentParser(prog="make soak", description="A fault campaign against real processes.")
    parser.add_argument("--seconds", type=float, default=600.0, help="how long things go wrong (%(default)s)")
    parser.add_argument("--seed", type=int, default=None, help="which campaign; none: one at random, printed")
    parser.add_argument("--workers", type=int, default=3, help="worker processes (%(default)s)")
    parser.add_argument("--in-flight", type=int, default=16, help="jobs under way at a time (%(default)s)")
    parser.add_argument("--only", default=None, help="jobs of these kinds alone, as countdown,reuse; none: all kinds")
    parser.add_argument("--profiles", default=None, help="variations of the provider, with commas, may be empty; none: drawn from the seed")
    parser.add_argument("--out", type=Path, default=Path("soak"), help="folder for the summary (%(default)s)")
    parser.add_argument("--keep", type=Path, default=None, help="folder for logs and data, kept; none: a temporary one")
    given = parser.parse_args()
    seed = random.SystemRandom().randrange(10**6) if given.seed is None else given.seed
    say(f"seed {seed}: repeat with SOAK_SEED={seed} SOAK_SECONDS={given.seconds:g} make soak")
    profiles = None if given.profiles is None else tuple(name for name in given.profiles.split(",") if name)
    plan = Plan(seconds=given.seconds, seed=seed, workers=given.workers, in_flight=given.in_flight, only=given.only, profiles=profiles)
    with tempfile.TemporaryDirectory(prefix="didflow-soak-") as temporary:
        folder = given.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        outcome = run(plan, folder, say)
    table = write(outcome, given.out)
    say(summary(outcome))
    say(f"written to {table}" + (f", evidence beside it in {table.stem}-evidence" if outcome.violations else ""))
    sys.exit(1 if outcome.violations else 0)


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
