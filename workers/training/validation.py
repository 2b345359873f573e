"""Top-1 accuracy of the kept weights on the validation set, shared among the workers."""

import numpy as np
import torch
import torch.distributed as dist
from torch import nn

from workers.data.clean import prepare_clean
from workers.data.images import BrokenImage, decode_rgb
from workers.data.shard_readers import load_manifest, read_shard
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
        rows = range(rank, len(shard.images), world_size)
        for start in range(0, len(rows), _BATCH_SIZE):
            pixels, labels = _clean_batch(shard.images, shard.labels or [], rows[start : start + _BATCH_SIZE], card)
            if labels:
                correct_and_seen += _count_correct(model, pixels, labels, card, device)
    if world_size > 1:
        dist.all_reduce(correct_and_seen)
    correct, seen = correct_and_seen.tolist()
    return correct / max(1.0, seen)


def synchronize_buffers(model: nn.Module) -> None:
    """Gives every worker the first one's running statistics: parameters are equal already, buffers are not."""
    if not dist.is_initialized() or dist.get_world_size() == 1:
        return
    for buffer in model.buffers():
        dist.broadcast(buffer, src=0)


def _clean_batch(images: list[bytes], labels: list[int], rows: range, card: ModelCard) -> tuple[np.ndarray, list[int]]:
    pixels, kept = [], []
    for row in rows:
        try:
            pixels.append(prepare_clean(decode_rgb(images[row]), card))
        except BrokenImage:
            continue
        kept.append(labels[row])
    return np.stack(pixels) if pixels else np.empty(0), kept


@torch.inference_mode()
def _count_correct(
    model: nn.Module, pixels: np.ndarray, labels: list[int], card: ModelCard, device: torch.device
) -> torch.Tensor:
    predicted = model(normalized(torch.from_numpy(pixels).to(device), card.mean, card.std)).argmax(dim=1).cpu()
    correct = int((predicted == torch.tensor(labels)).sum())
    return torch.tensor([correct, len(labels)], dtype=torch.float64, device=device)
