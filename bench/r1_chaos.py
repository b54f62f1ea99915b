"""R1 for indexes: workers are killed at random; the back end fails one call in five, is away, and hangs."""

from tests.durability.chaos import Plan
from tests.durability.chaos import run as suffer

from bench import floors
from bench.report import Options, Report, run

_SMALL = Plan(count=100, poisoned=1, kills=2, away=(1.0, 2.0), hangs=(3.0, 4.0), limit_seconds=600)
_FULL = Plan(count=5_000, poisoned=5, kills=40, away=(10.0, 70.0), hangs=(80.0, 100.0), limit_seconds=3_600)


def measure(options: Options, report: Report) -> None:
    """Tell how many of the analyses are indexed, and how often each."""
    plan = _SMALL if options.small else _FULL
    with floors.stores(options, report) as found:
        for stores in found:
            done = suffer(stores.fresh(), plan)
            place = f"{stores.dialect}: {plan.count:,} analyses, {plan.workers} workers, {plan.kills} kills"
            report.add(
                "R1", f"{place}: indexed once", done.indexed, "analyses", goal=f"= {plan.count:,}",
                met=(done.indexed, done.times) == (plan.count, {1}),
            )  # fmt: skip
            reasons = sum(bool(reason) for reason in done.dead)
            report.add(
                "R1", f"{place}: given up with a reason, and retried", done.retried, "jobs", goal=f"= {len(done.dead)}",
                met=reasons == done.retried == len(done.dead),
            )  # fmt: skip
            report.add("R1", f"{place}: until nothing waited", done.seconds, "s")


if __name__ == "__main__":
    run({"r1-chaos": measure})
