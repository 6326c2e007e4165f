"""The program: settings, command line, composition root, demo and benchmarks."""

__version__ = "0.7.0"  # the one place that says so; the package is built with it
QDRANT_VERSION = "1.19.0"  # the version whose API is spoken, and which clients are told
