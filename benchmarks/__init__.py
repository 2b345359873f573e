"""Benchmarks. Each measures a rival in the same run. results.json holds the figures, RESULTS.md shows them.

`data_plane`, `control_plane` and `method` measure the stages, the service and the method. `load`, `faults` and `inputs`
test the service under traffic, under kill -9, and with foreign inputs. `house` measures the repository.
"""
