"""The command line `noisy-student`, a thin client of the REST API. `commands` has the commands; they share the rest."""
