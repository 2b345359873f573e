"""The store of the workers' process group listens only on the address that it is told."""

import subprocess
import sys

import psutil

from noisy_student.local.ray_head import free_ports

_MEMBER = """
import sys
from datetime import timedelta
import torch, torch.distributed as dist
from workers.training.group.process_group import bind_store_to_its_address

bind_store_to_its_address()
rank, port = int(sys.argv[1]), sys.argv[2]
dist.init_process_group("gloo", f"tcp://127.0.0.1:{port}", rank=rank, world_size=2, timeout=timedelta(seconds=60))
print("joined", flush=True)
sys.stdin.read()
total = torch.ones(1)
dist.all_reduce(total)
print(int(total), flush=True)
"""


def test_the_store_listens_on_the_address_that_it_is_given_alone() -> None:
    [port] = free_ports(1)
    members = [
        subprocess.Popen(
            [sys.executable, "-c", _MEMBER, str(rank), str(port)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        assert [member.stdout.readline().strip() for member in members] == ["joined", "joined"]
        listening = [
            connection.laddr
            for member in members
            for connection in psutil.Process(member.pid).net_connections("tcp")
            if connection.status == psutil.CONN_LISTEN
        ]
        assert ("127.0.0.1", port) in listening
        assert {address.ip for address in listening} == {"127.0.0.1"}
        for member in members:
            member.stdin.close()
        answers = [member.stdout.read().split()[-1] for member in members]
    finally:
        for member in members:
            member.kill()
            member.wait(timeout=10)
    assert answers == ["2", "2"]
