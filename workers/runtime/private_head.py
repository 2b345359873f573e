"""`python -m workers.runtime.private_head start --head ...`: Ray's own command line without Ray's client server.

Wherever gRPC is installed, `ray start` of Ray 2.60 starts that server (`ray://`). An option changes its port, but none
turns it off. Nobody needs the server here, and a port that is closed cannot be attacked.
"""

from ray.scripts import scripts


def main() -> None:
    """Runs `ray` with the arguments of this process, and exits as it does."""
    scripts.get_ray_client_dependency_error = lambda: ImportError("the client server is not wanted here")
    scripts.main()


if __name__ == "__main__":
    main()
