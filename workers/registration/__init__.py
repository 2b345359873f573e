"""The verify stage: a model that was trained elsewhere becomes one of the service, once it has labeled images."""
