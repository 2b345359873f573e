"""Where artifacts lie, and how the control plane reaches them without waiting for ever."""
