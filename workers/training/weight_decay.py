"""Names the parameters that weight decay leaves alone, beside the biases and normalizations that timm leaves out."""

import re

from torch import nn

_POSITION = re.compile(r"pos_emb|position_embedding|rel_pos|relative_position|height_rel|width_rel")
"""How timm's models name position embeddings and tables of relative positions."""


def without_decay(model: nn.Module) -> set[str]:
    """The names that timm's model says itself (its `no_weight_decay()`), and those of all position embeddings.

    Several architectures with position embeddings, such as halonet and botnet, name none. A name may be a pattern.
    """
    own: set[str] = set(getattr(model, "no_weight_decay", set)())
    return own | {name for name, _ in model.named_parameters() if _POSITION.search(name)}
