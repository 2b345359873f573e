"""What the benchmark of the one-line run reports."""

from benchmarks.control_plane.one_line import rows


def test_the_rows_tell_a_running_service_from_a_cold_start() -> None:
    warm, cold = rows([10.0, 12.0], [30.0, 34.0])
    assert warm["name"] == "client.one_line_run_seconds_to_first_step"
    assert (warm["value"], cold["value"]) == (11, 32)
    assert cold["runs"] == [30.0, 34.0]
