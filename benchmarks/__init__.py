"""What fusible is measured with, beside the floor and the peers: `python -m benchmarks --help`."""
