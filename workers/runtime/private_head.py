"""`python -m workers.runtime.private_head start --head ...`: Ray's own command line, without Ray's client server.

`ray start` of Ray 2.60 starts that server (`ray://`) wherever gRPC is installed: its option gives another port, none
takes it away. Nobody needs it here, and what listens nowhere cannot be attacked.
"""

from ray.scripts import scripts


def main() -> None:
    """Ends as `ray` does."""
    scripts.get_ray_client_dependency_error = lambda: ImportError("the client server is not wanted here")
    scripts.main()


if __name__ == "__main__":
    main()
