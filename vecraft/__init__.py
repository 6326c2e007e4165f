"""The program: settings, command line, composition root, demo and benchmarks."""

__version__ = "0.3.0"
QDRANT_VERSION = "1.19.0"  # the version whose API is spoken, and which clients are told
