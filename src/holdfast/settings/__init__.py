"""Every setting: given in code, by environment variables that begin with HOLDFAST_, or in a TOML file."""

from holdfast.settings.model import RateLimit, RetentionPolicy, Settings, ThinningStep
from holdfast.settings.sources import Configuration, Origin, read_configuration, read_settings

__all__ = [
    "Configuration",
    "Origin",
    "RateLimit",
    "RetentionPolicy",
    "Settings",
    "ThinningStep",
    "read_configuration",
    "read_settings",
]
