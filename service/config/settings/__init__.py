"""The settings of the control plane: their groups, and the names of their variables."""
