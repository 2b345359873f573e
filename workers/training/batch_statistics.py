"""Batch norm over several workers: synchronised in each step, or averaged where the statistics are used."""

import torch
import torch.distributed as dist
from torch import nn

from workers.models.create import BATCH_NORMS
from workers.models.lean_timm import load_zoo
from workers.runtime.stage_reporter import StageError
from workers.specs.reports import FailureReason
from workers.training.group.session import TrainSession


def with_synchronized_batch_norm(model: nn.Module, name: str, session: TrainSession) -> nn.Module:
    """The model, a timm model called `name`, whose batch norms use the statistics of all workers' images.

    It does what timm's `--sync-bn` does (docs.pytorch.org, torch.nn.SyncBatchNorm). Raises StageError(USER_ERROR) on
    CPUs, where torch cannot, and if the model has no batch norm.
    """
    if not any(isinstance(layer, BATCH_NORMS) for layer in model.modules()):
        raise _refusal(f"{name} has no batch norm; set it to false")
    if session.world_size == 1:
        return model
    if session.device.type == "cpu":
        raise _refusal(
            "torch synchronizes batch norm on GPUs only; give the workers GPUs, or set it to false: the workers then "
            "average their statistics before each validation"
        )
    return load_zoo(name).convert_sync_batchnorm(model)


def average_batch_statistics(model: nn.Module) -> None:
    """Sets the running means and variances of all workers to their mean, as timm's `--dist-bn reduce` does.

    Every worker calls this at the same step. Each worker's statistics are those of its own share of the images;
    parameters are equal on all workers anyway.
    """
    if not dist.is_initialized() or dist.get_world_size() == 1:
        return
    norms = [layer for layer in model.modules() if isinstance(layer, BATCH_NORMS)]
    statistics = [each for norm in norms for each in (norm.running_mean, norm.running_var) if each is not None]
    if not statistics:
        return
    together = torch.cat([each.flatten() for each in statistics]) / dist.get_world_size()
    dist.all_reduce(together)
    for own, mean in zip(statistics, together.split([each.numel() for each in statistics]), strict=True):
        own.copy_(mean.view_as(own))


def _refusal(why: str) -> StageError:
    return StageError(FailureReason.USER_ERROR, f"recipe.sync_batch_norm: {why}")
