"""Only processes that requested a GPU from Ray compute on one, whatever GPUs they can see."""

import pytest
import torch

from workers.models.device import allotted_device


@pytest.mark.parametrize(
    ("gpus", "seen", "device"), [(0.0, True, "cpu"), (0.25, True, "cuda"), (1.0, True, "cuda"), (1.0, False, "cpu")]
)
def test_a_gpu_is_used_where_one_was_asked_for_and_is_seen(
    gpus: float, seen: bool, device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: seen)
    assert allotted_device(gpus).type == device
