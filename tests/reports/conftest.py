"""A browser, and a W&B that knows nothing of the machine it runs on."""

from browser import chromium as chromium
from own_wandb import own_wandb as own_wandb
from own_wandb import server as server
