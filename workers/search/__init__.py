"""The search stage: Ray Tune searches the noise and the student's size. Each trial is a short training."""
