"""Local servers, a live workload, faults, and the comparison that judges the result.

Tests, `hedgerow playground`, `make demo` and the benchmarks stand on the same code, so what a user plays with is what
was tested. Everything here listens on the loopback interface, keeps its files in one temporary directory per server,
and ends with the process that started it.
"""
