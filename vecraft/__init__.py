"""The program: settings, command line, composition root, demo and benchmarks."""

__version__ = "0.1.0"
