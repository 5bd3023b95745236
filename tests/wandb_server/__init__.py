"""A W&B server on the loopback interface, for tests: it speaks as much of the protocol as W&B's client asks for."""

from wandb_server._server import KEY, Fault, Request, WandbServer
from wandb_server._store import ServerArtifact, ServerRun, ServerSweep

__all__ = ["KEY", "Fault", "Request", "ServerArtifact", "ServerRun", "ServerSweep", "WandbServer"]
