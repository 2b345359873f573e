"""What all tests share."""

from hypothesis import settings

# Machines are busy at times: how long an example takes says nothing of the code.
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")
