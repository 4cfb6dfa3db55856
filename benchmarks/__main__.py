"""Measure all yardsticks, or those that are named: `python -m benchmarks [scan|worst|throughput|latency|keys …]`."""

import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Final

import uvloop

from benchmarks import cost, daemon, firehose, history, keys, mails, recall, report, scan, sources, worst
from benchmarks.measuring import Result, machine

YARDSTICKS: Final[dict[str, Callable[[], Awaitable[Result | list[Result]]]]] = {
    "scan": scan.scan,
    "recall": recall.recall,
    "worst": worst.worst,
    "throughput": daemon.throughput,
    "latency": daemon.latency,
    "idle": daemon.idle,
    "sources": sources.sources,
    "history": history.history,
    "cost": cost.cost,
    "firehose": firehose.firehose,
    "mails": mails.mails,
    "keys": keys.keys,
}


async def main(names: list[str]) -> None:
    """Measure, and save what was measured as soon as it is."""
    for name in names:
        print(f"{name} …", flush=True)
        measured = await YARDSTICKS[name]()
        results = measured if isinstance(measured, list) else [measured]
        report.save(results, machine(), f"{datetime.now(UTC):%Y-%m-%d}")
        for row in (row for result in results for row in result.rows):
            ratio = "" if row.ratio is None else f"  × {row.ratio:.2f}"
            print(f"  {row.what}: {row.value:,.4g} {row.unit}{ratio}  {row.note}", flush=True)


if __name__ == "__main__":
    unknown = set(sys.argv[1:]) - YARDSTICKS.keys()
    if unknown:
        sys.exit(f"there is no yardstick {', '.join(sorted(unknown))}; there are {', '.join(YARDSTICKS)}")
    uvloop.run(main(sys.argv[1:] or list(YARDSTICKS)))
