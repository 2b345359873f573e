"""The process group of a train stage's workers, whose store listens where the workers look for it and nowhere else.

torch's TCPStore listens on all addresses of the machine and asks for no credential, whatever address it is given.
"""

import importlib
import socket
from datetime import timedelta
from functools import cache, partial

from ray.train.backend import Backend, BackendConfig, BaseWorkerGroup
from ray.train.torch import TorchConfig
from torch.distributed import TCPStore

from workers.runtime.internals import library_internals

_MAKER = "_create_c10d_store"


class ProcessGroupConfig(TorchConfig):
    """Ray Train's own, with the store bound to one address, unless that is not wanted."""

    @property
    def backend_cls(self) -> type[Backend]:
        backend: type[Backend] = super().backend_cls
        return _with_bound_store(backend) if library_internals().torch_store else backend


@cache
def _with_bound_store(backend: type[Backend]) -> type[Backend]:
    class BoundStore(backend):  # type: ignore[misc, valid-type]
        def on_start(self, worker_group: BaseWorkerGroup, backend_config: BackendConfig) -> None:
            worker_group.execute(bind_store_to_its_address)
            super().on_start(worker_group, backend_config)

    return BoundStore


def bind_store_to_its_address() -> None:
    """From now on, a process group of this process that is made by `env://` or `tcp://` has such a store.

    Raises RuntimeError where the installed torch makes its store otherwise: it would be open to the network, which is
    for the operator to allow.
    """
    # By its name: `torch.distributed.rendezvous` is a function of the module's.
    rendezvous = vars(importlib.import_module("torch.distributed.rendezvous"))
    if _MAKER not in rendezvous:
        raise RuntimeError(
            f"torch.distributed.rendezvous has no {_MAKER}: the workers' store would listen on all addresses of its "
            "machine. Take the release of torch that constraints.txt names, or allow it by the service's setting "
            "internals.torch_store (NOISY_STUDENT_INTERNALS__TORCH_STORE=false)"
        )
    rendezvous[_MAKER] = _store


def _store(
    hostname: str, port: int, rank: int, world_size: int, timeout: timedelta, use_libuv: bool = True
) -> TCPStore:
    store = partial(TCPStore, hostname, port, world_size=world_size, timeout=timeout, use_libuv=use_libuv)
    if rank != 0:
        return store(is_master=False)
    listening = socket.create_server((hostname, port), family=_family(hostname, port))
    # The store closes it.
    return store(is_master=True, master_listen_fd=listening.detach())


def _family(hostname: str, port: int) -> socket.AddressFamily:
    return socket.getaddrinfo(hostname, port, type=socket.SOCK_STREAM)[0][0]
