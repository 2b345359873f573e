"""The process group of a train stage's workers, whose store listens where the workers look for it and nowhere else.

torch's TCPStore listens on all addresses of the machine and asks for no credential, whatever address it is given.
"""

import importlib
import socket
from datetime import timedelta
from typing import Any

from ray.train.torch import TorchConfig
from ray.train.torch.config import _TorchBackend


class ProcessGroupConfig(TorchConfig):
    """Ray Train's own, with the store bound to one address."""

    @property
    def backend_cls(self) -> type[_TorchBackend]:
        return _Backend


class _Backend(_TorchBackend):
    def on_start(self, worker_group: Any, backend_config: TorchConfig) -> None:
        worker_group.execute(bind_store_to_its_address)
        super().on_start(worker_group, backend_config)


def bind_store_to_its_address() -> None:
    """From now on, a process group of this process that is made by `env://` or `tcp://` has such a store."""
    # By its name: `torch.distributed.rendezvous` is a function of the module's.
    vars(importlib.import_module("torch.distributed.rendezvous"))["_create_c10d_store"] = _store


def _store(hostname: str, port: int, rank: int, world_size: int, timeout: timedelta, use_libuv: bool = True) -> Any:
    from torch.distributed import TCPStore

    options = {"world_size": world_size, "timeout": timeout, "use_libuv": use_libuv}
    if rank != 0:
        return TCPStore(hostname, port, is_master=False, **options)
    listening = socket.create_server((hostname, port), family=_family(hostname, port))
    # The store closes it.
    return TCPStore(hostname, port, is_master=True, master_listen_fd=listening.detach(), **options)


def _family(hostname: str, port: int) -> socket.AddressFamily:
    return socket.getaddrinfo(hostname, port, type=socket.SOCK_STREAM)[0][0]
