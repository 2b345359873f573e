"""Each test runs in its own process, because imports cannot be undone."""

import subprocess
import sys

import pytest

_TRAIN_A_STEP = """
import sys
import torch, torch.distributed as dist
from torch import nn
from workers.models.lean_timm import load_part
from workers.training.lean_torch import put_off_dynamo

put_off_dynamo()
dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4 * 36, 2))
optimizer = load_part("timm.optim").create_optimizer_v2(model, opt="adamw", lr=0.01)
student = nn.parallel.DistributedDataParallel(model)
before = model[3].weight.detach().clone()
student(torch.randn(2, 3, 8, 8)).sum().backward()
optimizer.step()
optimizer.zero_grad(set_to_none=True)
optimizer.load_state_dict(optimizer.state_dict())
assert not torch.equal(before, model[3].weight)
assert "torch._dynamo.eval_frame" not in sys.modules, "imported all the same"
USE_IT
optimizer.step()
print("done")
"""


@pytest.mark.parametrize(
    "use_it",
    [
        "assert torch.compile(lambda x: x * 2, backend='eager')(torch.ones(2)).tolist() == [2, 2]",
        "assert torch._dynamo.utils.counters is not None; from torch._dynamo.config import cache_size_limit",
        "assert torch._dynamo.config.recompile_limit == 1_000_000",  # timm.optim sets it
    ],
)
def test_training_imports_no_dynamo_until_it_is_really_used(use_it: str) -> None:
    script = _TRAIN_A_STEP.replace("USE_IT", use_it)
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
    assert ended.stdout == "done\n", ended.stderr
