"""Kubernetes' API as far as Ray's autoscaler asks for it, over HTTPS with a client certificate, on loopback."""

import ipaddress
import json
import ssl
import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import parse_qs, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.rehearsal.cluster_state import HEAD_GROUP, ClusterState, Pod

_ADDRESS = "127.0.0.1"
Answer = tuple[int, dict[str, Any]]


class KubernetesServer:
    """A context manager that serves the state. `environment` tells Ray's autoscaler where, and how to prove itself."""

    def __init__(self, state: ClusterState, folder: Path) -> None:
        self._certificate, self._key = folder / "certificate.pem", folder / "key.pem"
        _write_certificate(self._certificate, self._key)
        self._server = ThreadingHTTPServer((_ADDRESS, 0), _handler(state))
        self._server.daemon_threads = True
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self._certificate, self._key)
        context.load_verify_locations(self._certificate)
        context.verify_mode = ssl.CERT_REQUIRED
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True, name="kubernetes")

    def __enter__(self) -> "KubernetesServer":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def environment(self) -> dict[str, str]:
        return {
            "KUBERNETES_SERVICE_HOST": _ADDRESS,
            "KUBERNETES_SERVICE_PORT_HTTPS": str(self._server.server_address[1]),
            "RAY_KUBERAY_CA_CERT_PATH": str(self._certificate),
            "RAY_KUBERAY_CLIENT_CERT_PATH": str(self._certificate),
            "RAY_KUBERAY_CLIENT_KEY_PATH": str(self._key),
        }


def answer(state: ClusterState, method: str, target: str, content_type: str = "", body: Any = None) -> Answer:
    """Status and body of the response to one request."""
    url = urlsplit(target)
    pods = f"/api/v1/namespaces/{state.namespace}/pods"
    ray_cluster = f"/apis/ray.io/v1/namespaces/{state.namespace}/rayclusters/{state.name}"
    if (method, url.path) == ("GET", ray_cluster):
        return 200, state.ray_cluster()
    if (method, url.path) == ("PATCH", ray_cluster):
        try:
            merges = content_type.startswith("application/merge-patch+json")
            return 200, state.merge(body) if merges else state.patch(body)
        except (KeyError, IndexError, ValueError) as error:
            return 422, _status(422, "Invalid", str(error))
    if (method, url.path) == ("GET", pods):
        return 200, _pod_list(state, parse_qs(url.query).get("labelSelector", [""])[0])
    if method == "GET" and url.path.startswith(f"{pods}/"):
        for pod in state.pods():
            if pod.name == url.path.removeprefix(f"{pods}/"):
                return 200, manifest_of(state, pod)
    return 404, _status(404, "NotFound", f"{method} {url.path}")


def manifest_of(state: ClusterState, pod: Pod) -> dict[str, Any]:
    """The pod as Kubernetes shows it."""
    metadata: dict[str, Any] = {
        "name": pod.name,
        "namespace": state.namespace,
        "resourceVersion": str(pod.version),
        "labels": _labels(state, pod),
    }
    if pod.is_terminating:
        metadata["deletionTimestamp"] = datetime.now(UTC).isoformat()
    status = {
        "phase": pod.phase,
        "podIP": _ADDRESS,
        "containerStatuses": [{"name": pod.spec["containers"][0]["name"], "state": _container_state(pod)}],
    }
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": pod.spec, "status": status}


def _container_state(pod: Pod) -> dict[str, Any]:
    if pod.has_ended:
        return {"terminated": {"exitCode": pod.exit_code}}
    return {"running": {}} if pod.phase == "Running" else {"waiting": {"reason": "ContainerCreating"}}


def _labels(state: ClusterState, pod: Pod) -> dict[str, str]:
    kind = "head" if pod.group == HEAD_GROUP else "worker"
    return {
        "ray.io/cluster": state.name,
        "ray.io/group": pod.group,
        "ray.io/node-type": kind,
        "ray.io/is-ray-node": "yes",
    }


def _pod_list(state: ClusterState, selector: str) -> dict[str, Any]:
    wanted = dict(each.split("=", 1) for each in selector.split(",") if each)
    shown = [pod for pod in state.pods() if wanted.items() <= _labels(state, pod).items()]
    return {
        "apiVersion": "v1",
        "kind": "PodList",
        "metadata": {"resourceVersion": state.version},
        "items": [manifest_of(state, pod) for pod in shown],
    }


def _status(code: int, reason: str, message: str) -> dict[str, Any]:
    return {"kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": message}


def _handler(state: ClusterState) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._send(answer(state, "GET", self.path))

        def do_PATCH(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            self._send(answer(state, "PATCH", self.path, self.headers.get("Content-Type", ""), body))

        def log_message(self, format: str, *args: object) -> None:
            """Nothing: the journal has what matters."""

        def _send(self, response: Answer) -> None:
            code, content = response
            data = json.dumps(content).encode()
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    return Handler


def _write_certificate(certificate_path: Path, key_path: Path) -> None:
    """A certificate that signs itself and serves both sides."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "rehearsal")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(_ADDRESS))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate_path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
