"""The search stage: Ray Tune over the noise and the student's size, each trial a short run of the train stage."""
