"""Plans: what a run would take, from a short measurement. Pure arithmetic; the measuring is a stage."""
