"""`make image` builds the control plane's image without a registry, tests its API, and measures the image's size.

Debian packages replace the two base images from a registry: a Debian with Python's venv for the build, and one with
only Python, made like distroless images by unpacking packages without installing them. It needs root, buildah and
mmdebstrap (apt-get install buildah mmdebstrap), Debian's mirror and a package index. All files are below build/image.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.results import row, save
from noisy_student.local.ray_head import free_ports

REPOSITORY = Path(__file__).parents[2]
FOLDER = REPOSITORY / "build" / "image"
_STORAGE, _RUN = FOLDER / "storage", FOLDER / "run"
CONTAINERFILE = REPOSITORY / "deploy" / "images" / "control-plane.Containerfile"
MOST_MIB = 400
_SUITE = "bookworm"
_BASES = {
    "build-base": ("minbase", "ca-certificates,python3,python3-venv"),
    "base": ("extract", "libpython3-stdlib,libstdc++6,python3-minimal,tzdata"),
}
_NOT_IN_DISTROLESS = "rm -rf $1/usr/share/locale $1/usr/share/man"
_TRUSTED = Path("/etc/ssl/certs")
"""Debian's folder of CA certificates. With it the build trusts a package index behind a private proxy as here."""
_CLOSED_ROOT = """
set -e
mkdir -p "$1/proc" "$1/dev" "$1/tmp"
mount --bind "$1" "$1"
mount -o remount,ro,bind "$1"
mount -t tmpfs -o mode=1777 tmpfs "$1/tmp"
mount --rbind /proc "$1/proc"
mount --rbind /dev "$1/dev"
exec /usr/sbin/chroot --userspec=10001:10001 "$1" python -c "$2"
"""
"""As in the chart: a read-only root, a private /tmp, and a user who owns no files."""
_TRIAL = Path(__file__).with_name("control_plane_trial.py")


def main() -> None:
    """Builds, tests and measures the image, and writes the row `image.control_plane_mib`."""
    if missing := [each for each in ("buildah", "mmdebstrap") if shutil.which(each) is None]:
        sys.exit(f"{' and '.join(missing)} missing: apt-get install buildah mmdebstrap")
    if os.geteuid() != 0:
        sys.exit("root is needed: images are made of other users' files")
    FOLDER.mkdir(parents=True, exist_ok=True)
    for kept in (_STORAGE, _RUN):
        shutil.rmtree(kept, ignore_errors=True)
    for name, (variant, packages) in _BASES.items():
        _import_base(name, variant, packages)
    print("Building the image: some minutes ...", flush=True)
    _build()
    with _mounted() as root:
        size = _mebibytes(root)
        _try(root)
    print(f"{size:.0f} MiB, and its API answers")
    save([row("image.control_plane_mib", [size], "MiB", f"below {MOST_MIB}", "make image")])
    if size >= MOST_MIB:
        sys.exit(f"the image has {size:.0f} MiB; it may have {MOST_MIB}")


def _import_base(name: str, variant: str, packages: str) -> None:
    archive = FOLDER / f"{name}.tar"
    if not archive.exists():
        print(f"Making {name} of Debian's packages ...", flush=True)
        command = ["mmdebstrap", "--quiet", f"--variant={variant}", f"--include={packages}"]
        half = archive.with_suffix(".new")
        _run(*command, f"--customize-hook={_NOT_IN_DISTROLESS}", "--format=tar", _SUITE, str(half))
        half.rename(archive)
    container = _buildah("from", "scratch")
    _buildah("add", "--quiet", container, str(archive), "/")
    _buildah("commit", "--quiet", container, f"localhost/{name}")
    _buildah("rm", container)


def _build() -> None:
    trusted = ["--volume", f"{_TRUSTED}:{_TRUSTED}:ro"] if _TRUSTED.is_dir() else []
    bases = ["--build-arg", "BUILD_BASE=localhost/build-base", "--build-arg", "BASE=localhost/base"]
    options = ["--isolation", "chroot", "--ignorefile", str(REPOSITORY / ".dockerignore"), *bases, *trusted]
    _buildah(
        "bud",
        "--quiet",
        "--layers",
        *options,
        "--file",
        str(CONTAINERFILE),
        "--tag",
        "localhost/control-plane",
        str(REPOSITORY),
    )


@contextmanager
def _mounted() -> Iterator[Path]:
    """Mounts the image, and yields its root folder."""
    container = _buildah("from", "localhost/control-plane")
    try:
        yield Path(_buildah("mount", container))
    finally:
        _buildah("umount", container)
        _buildah("rm", container)


def _try(root: Path) -> None:
    """Runs the API and the reconciler from the image. Fails if one does not work."""
    described = json.loads(_buildah("inspect", "--type", "image", "localhost/control-plane"))
    variables = dict(each.split("=", 1) for each in described["OCIv1"]["config"]["Env"])
    environment = {**variables, "NOISY_STUDENT_SERVER__PORT": str(free_ports(1)[0])}
    namespaces = ["unshare", "--mount", "--pid", "--fork", "--kill-child"]
    done = subprocess.run(
        [*namespaces, "sh", "-c", _CLOSED_ROOT, "sh", str(root), _TRIAL.read_text(encoding="utf-8")],
        env=environment, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    if done.returncode or "answers" not in done.stdout:
        sys.exit(f"the image does not work: {done.stderr.strip()[-4000:]}")


def _mebibytes(root: Path) -> float:
    """The size of the image's files on disk, in MiB. Each file counts once."""
    sizes: dict[int, int] = {}
    for folder, folders, files in os.walk(root):
        for name in (*folders, *files):
            status = os.lstat(Path(folder) / name)
            sizes[status.st_ino] = status.st_blocks * 512
    return sum(sizes.values()) / 2**20


def _buildah(*words: str) -> str:
    storage = ["--root", str(_STORAGE), "--runroot", str(_RUN), "--storage-driver", "vfs"]
    return _run("buildah", *storage, *words)


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command[:1])} failed: {done.stderr.strip()[-2000:]}")
    return done.stdout.strip()


if __name__ == "__main__":
    main()
