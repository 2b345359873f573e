"""Registers models that were trained elsewhere, each by a run of one stage that checks it on the cluster."""
