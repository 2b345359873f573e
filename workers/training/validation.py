"""Top-1 accuracy of the kept weights on the validation set, shared among the workers."""

import numpy as np
import torch
import torch.distributed as dist
from torch import nn

from workers.data.shard_readers import load_manifest, read_shard
from workers.models.clean_batches import clean_batches
from workers.models.normalize import normalized
from workers.specs.stages import ModelCard

_BATCH_SIZE = 250


def validation_top1(
    model: nn.Module, manifest_uri: str, card: ModelCard, device: torch.device, rank: int, world_size: int
) -> float:
    """Accuracy in 0..1 over the readable images. Every worker calls this, and gets the same answer."""
    synchronize_buffers(model)
    correct_and_seen = torch.zeros(2, dtype=torch.float64, device=device)
    manifest = load_manifest(manifest_uri)
    for shard_index in range(len(manifest.shards)):
        shard = read_shard(manifest, shard_index)
        images, labels = shard.images[rank::world_size], torch.tensor((shard.labels or [])[rank::world_size])
        for batch in clean_batches(images, card, _BATCH_SIZE, decoders=None):
            if batch.rows:
                correct_and_seen[0] += _count_correct(model, batch.pixels, labels[batch.rows], card, device)
                correct_and_seen[1] += len(batch.rows)
    if world_size > 1:
        dist.all_reduce(correct_and_seen)
    correct, seen = correct_and_seen.tolist()
    return float(correct / max(1.0, seen))


def synchronize_buffers(model: nn.Module) -> None:
    """Gives every worker the first one's running statistics: parameters are equal already, buffers are not."""
    if not dist.is_initialized() or dist.get_world_size() == 1:
        return
    for buffer in model.buffers():
        dist.broadcast(buffer, src=0)


@torch.inference_mode()
def _count_correct(
    model: nn.Module, pixels: np.ndarray, labels: torch.Tensor, card: ModelCard, device: torch.device
) -> int:
    logits = model(normalized(torch.from_numpy(pixels).to(device), card.mean, card.std))
    return int((logits.argmax(dim=1).cpu() == labels).sum())
