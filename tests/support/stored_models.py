"""Real models, untrained and tiny, stored as the train stage does it."""

import torch

from workers.models.create import create_model, model_options
from workers.models.files import write_model
from workers.specs.model_card import ModelCard


def store_model(
    folder_uri: str, model: str = "test_resnet", classes: tuple[str, ...] = ("cat", "dog"), image_size: int = 32
) -> ModelCard:
    """Writes a model with random weights to a folder, and returns its card."""
    torch.manual_seed(1)
    built = create_model(model, len(classes), image_size, dropout=0.1, drop_path=0.1)
    card = ModelCard(
        model=model,
        classes=classes,
        image_size=image_size,
        mean=(0.5, 0.4, 0.3),
        std=(0.2, 0.3, 0.4),
        crop="center",
        model_options=model_options(model, image_size),
        parameters=sum(parameter.numel() for parameter in built.parameters()),
        run_id="run-1",
        generation=1,
        validation_top1=0.9,
    )
    write_model(folder_uri, built.state_dict(), card)
    return card
