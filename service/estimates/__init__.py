"""Plans: they compute what a run would cost from a short measurement, which is a stage of its own."""
