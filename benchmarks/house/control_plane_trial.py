"""Tests a control plane from inside, with the Python of an image or of an environment with only the extra `server`.

It imports each module of `api` and `service`. Then it checks that the API responds, creates a key, registers a dataset,
and checks that the API and the reconciler stop when told to. They write to TMPDIR.
"""

import importlib
import importlib.util
import json
import os
import pkgutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx

_START_SECONDS = 90
_NEEDS_TIMM = "service.model_catalog.generate"


def main() -> None:
    """Prints `answers` if all is well, and fails otherwise."""
    assert not [name for name in ("ray", "torch", "timm") if importlib.util.find_spec(name)]
    _import_every_module()
    with tempfile.TemporaryDirectory() as folder:
        _serve(Path(folder))
    assert not {"ray", "torch"} & set(sys.modules)
    print("answers")


def _import_every_module() -> None:
    import api
    import service

    for package in (api, service):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if ".migrations" not in module.name and "__main__" not in module.name and module.name != _NEEDS_TIMM:
                importlib.import_module(module.name)


def _serve(folder: Path) -> None:
    pictures = _pictures(folder)
    os.environ |= {
        "NOISY_STUDENT_HOME": str(folder / "home"),
        "NOISY_STUDENT_ACCESS__AUTHENTICATION": "true",
        "NOISY_STUDENT_DATASETS__ROOTS": json.dumps([str(pictures.parent)]),
    }
    parts = [subprocess.Popen([sys.executable, "-m", name]) for name in ("api", "service.reconcile")]
    try:
        _use(f"http://127.0.0.1:{os.environ['NOISY_STUDENT_SERVER__PORT']}", parts[0], pictures)
    finally:
        for part in parts:
            part.terminate()
        codes = [part.wait(60) for part in parts]
    # uvicorn closes everything first, and then dies from the signal.
    assert codes == [-signal.SIGTERM, 0], codes


def _use(url: str, api: "subprocess.Popen[bytes]", pictures: Path) -> None:
    until = time.monotonic() + _START_SECONDS
    while not _is_alive(url):
        assert time.monotonic() < until, "the API does not answer"
        assert api.poll() is None, "the API has ended"
        time.sleep(0.1)
    command = Path(sys.executable).with_name("noisy-student")
    made = subprocess.check_output([command, "keys", "create", "--name", "first", "--scope", "admin"], text=True)
    key = next(word for word in made.split() if word.startswith("nsk_"))
    with httpx.Client(base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=60, trust_env=False) as client:
        assert client.get("/runs").json()["items"] == []
        answer = client.post("/datasets", json={"name": "pictures", "role": "labeled", "uri": str(pictures)})
        assert answer.status_code == 201, answer.text


def _is_alive(url: str) -> bool:
    try:
        return httpx.get(f"{url}/healthz", trust_env=False).status_code == httpx.codes.OK
    except httpx.TransportError:
        return False


def _pictures(folder: Path) -> Path:
    """Writes a Parquet file of 20 small labeled pictures, and returns its path."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq
    import simplejpeg

    images = [simplejpeg.encode_jpeg(np.full((32, 32, 3), shade, np.uint8)) for shade in range(0, 200, 10)]
    file = folder / "data" / "pictures.parquet"
    file.parent.mkdir()
    pq.write_table(pa.table({"image": images, "label": ["cat", "dog"] * 10}), file)
    return file


if __name__ == "__main__":
    main()
