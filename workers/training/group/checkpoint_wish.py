"""A training worker's wish for a checkpoint out of turn. The training loop asks for it now and then."""

import threading

_wished = threading.Event()


def wish_for_checkpoint() -> None:
    """From any thread of a worker's process: the group soon takes a checkpoint."""
    _wished.set()


def take_wish() -> bool:
    """Whether there was a wish since the last call."""
    wished = _wished.is_set()
    if wished:
        _wished.clear()
    return wished
