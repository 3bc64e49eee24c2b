"""Bulk cloud-disk backups from the terminal: resumable, rate-limited, nothing twice, nothing
lost."""

__version__ = "0.1.0"
