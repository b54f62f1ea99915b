"""Every setting: given in code, by environment variables that begin with HOLDFAST_, or in a TOML file."""

from holdfast.settings.keeping import RetentionPolicy, ThinningStep
from holdfast.settings.model import Settings
from holdfast.settings.sources import Configuration, Origin, read_configuration, read_settings
from holdfast.settings.values import RateLimit

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
