"""What the product costs, measured: see README.md for how each figure is made. Run with `python -m benchmarks`."""
