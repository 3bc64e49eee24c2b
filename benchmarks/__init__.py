"""Every figure of docs/benchmarks.md, measured on the machine it runs on: `make bench`."""
