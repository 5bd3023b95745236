"""Makes the helpers of tracking importable, and gives each test a W&B that knows nothing of the machine it runs on."""

import sys
from pathlib import Path

from own_wandb import own_wandb as own_wandb

sys.path.insert(0, str(Path(__file__).parent.parent / "tracking"))
