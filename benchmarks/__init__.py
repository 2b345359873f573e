"""What is timed or scored, always beside a rival in the same run; results.json has the figures, RESULTS.md shows them.

`data_plane`, `control_plane` and `method` measure the stages, the service and what the method gives; `load`, `faults`
and `inputs` try the service under traffic, under kill -9 and with what strangers send; `house` measures the repository.
"""
