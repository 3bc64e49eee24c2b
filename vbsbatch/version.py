"""The version of vbsbatch."""

__version__ = "0.1.0"
