"""Processes that a stage spawns beside Ray's end with the process that began them."""

import multiprocessing
import os
import threading


def end_with_parent() -> None:
    """Ends this process when its parent dies. Otherwise it would wait for work for ever: for a pool's initializer."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True, name="end-with-parent").start()
