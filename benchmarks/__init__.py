"""The yardsticks: what leakwatch does, measured against a peer or a limit in the same run.

`make bench` runs them, writes `results.json` and renders `docs/benchmarks.md`. Nothing here is a test: machines are
noisy, and a figure says something only beside another that was measured with it.
"""
