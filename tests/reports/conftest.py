"""Gives each test a W&B that knows nothing of the machine it runs on."""

from own_wandb import own_wandb as own_wandb
