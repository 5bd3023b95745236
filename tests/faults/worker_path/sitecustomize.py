"""Python imports this at its start in every process that has this folder on its path: see `tripwire`."""

from tripwire import set_by_environment

set_by_environment()
