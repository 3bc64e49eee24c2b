"""What the report room wrote for many runs: `python -m tests.report.frozen` takes it anew."""
