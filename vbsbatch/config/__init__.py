"""The user's config file, `~/.config/vbsbatch/config.yaml`: what one would type every night.

Options and environment variables win over it, and so does what a plan says. `schema` has its keys:
a new section is a map of keys there, its entry in `MAPS`, and its value in `Config`.
"""

from vbsbatch.config.config_file import NAMED_BY, Config, config_path, load_config

__all__ = ["NAMED_BY", "Config", "config_path", "load_config"]
