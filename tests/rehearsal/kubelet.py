"""Runs the containers of pods as processes, and reports their end. It plays the kubelet of all nodes."""

import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import psutil

from noisy_student.local.process_family import (
    command_of,
    descendants,
    kill_all,
    kill_marked,
    kill_writing_into,
    processes_of,
    wait_for_ends,
)
from tests.rehearsal.cluster_state import HEAD_GROUP, ClusterState, Pod
from tests.rehearsal.containers import GCS_ADDRESS, containers_of

_POD_MARK = "NOISY_STUDENT_REHEARSED_POD"
"""The environment variable that all processes of a pod inherit."""
Processes = list["subprocess.Popen[bytes]"]


class Kubelet:
    """Starts pending pods, watches running ones and ends deleted ones, one step at a time.

    `withheld` names the groups for which the cloud has no machine now: their pods stay pending.
    """

    def __init__(
        self,
        state: ClusterState,
        folder: Path,
        environment: Mapping[str, str],
        kubernetes: Mapping[str, str],
        start_seconds: float = 1.0,
    ) -> None:
        self.withheld: set[str] = set()
        self._state = state
        self._folder = folder
        self._environment = environment
        self._kubernetes = kubernetes
        self._start_seconds = start_seconds
        self._processes: dict[str, Processes] = {}
        """Of each pod that has been started: Ray's process first."""
        self._folders: dict[str, Path] = {}
        self._started = 0
        self._ending: dict[str, threading.Thread] = {}

    def step(self) -> None:
        """Does for each pod what is due now."""
        for pod in self._state.pods():
            if pod.is_terminating:
                self._begin_to_end(pod)
            elif pod.phase == "Pending" and self._may_start(pod):
                self._start(pod)
            elif pod.phase == "Running":
                self._look_at(pod)

    def delete(self, name: str, by: str, why: str) -> None:
        """Marks the pod as deleted: Ray gets SIGTERM and the pod's grace period, then everything is killed."""
        for pod in self._state.pods():
            if pod.name == name and not pod.is_terminating:
                self._state.journal.note(by, f"deletes ({why})", pod.group, name)
                self._state.change_pod(name, is_terminating=True)

    def kill(self, name: str, by: str = "cloud") -> None:
        """Kills all processes of a pod at once, as when its machine loses power."""
        (pod,) = (each for each in self._state.pods() if each.name == name)
        self._state.journal.note(by, "kills", pod.group, name)
        self._kill_family(pod)

    def kill_autoscaler(self) -> None:
        """Kills Ray's autoscaler, but not its container's shell, which the chart lets start it again."""
        [(name, processes)] = [
            (pod.name, self._processes[pod.name]) for pod in self._state.pods(HEAD_GROUP) if pod.phase == "Running"
        ]
        self._state.journal.note("somebody", "kills the autoscaler of", HEAD_GROUP, name)
        kill_all(descendants(processes[1].pid))

    def has_autoscaler(self) -> bool:
        """Whether the autoscaler runs."""
        return any(
            "kuberay-autoscaler" in command_of(process)
            for pod in self._state.pods(HEAD_GROUP)
            if pod.name in self._processes
            for process in descendants(self._processes[pod.name][1].pid)
        )

    def folder_of(self, name: str) -> Path:
        """The folder with the pod's files and the logs of its containers."""
        return self._folders[name]

    def close(self) -> None:
        """Kills all pods."""
        for pod in self._state.pods():
            self._kill_family(pod)
        for thread in self._ending.values():
            thread.join(60)

    def _may_start(self, pod: Pod) -> bool:
        if pod.group in self.withheld or time.monotonic() - pod.created_at < self._start_seconds:
            return False
        # KubeRay's init container: a node waits until the head answers.
        return pod.group == HEAD_GROUP or _listens(GCS_ADDRESS)

    def _start(self, pod: Pod) -> None:
        self._started += 1
        folder = self._folder / f"p{self._started}"  # short, because socket paths may have at most 107 bytes
        folder.mkdir()
        self._folders[pod.name] = folder
        processes: Processes = []
        for container in containers_of(self._state, pod, folder, self._kubernetes):
            environment = {**os.environ, **self._environment, **container.environment, _POD_MARK: str(folder)}
            with (folder / f"{container.name}.log").open("ab") as log:
                processes.append(
                    subprocess.Popen(
                        container.command,
                        cwd=folder,
                        env=environment,
                        stdin=subprocess.DEVNULL,
                        stdout=log,
                        stderr=log,
                        start_new_session=True,
                    )
                )
        self._processes[pod.name] = processes
        self._state.journal.note("kubelet", f"starts in {folder.name}", pod.group, pod.name)
        self._state.change_pod(pod.name, phase="Running")

    def _look_at(self, pod: Pod) -> None:
        code = self._processes[pod.name][0].poll()
        if code is not None:
            self._kill_family(pod)
            self._state.change_pod(pod.name, phase="Failed" if code else "Succeeded", exit_code=code)
            self._state.journal.note("kubelet", f"sees the end ({code}) of", pod.group, pod.name)

    def _begin_to_end(self, pod: Pod) -> None:
        if pod.name not in self._ending:
            thread = threading.Thread(target=self._end, args=(pod,), daemon=True, name=f"end of {pod.name}")
            self._ending[pod.name] = thread
            thread.start()

    def _end(self, pod: Pod) -> None:
        processes = self._processes.get(pod.name, [])
        families = self._family(pod.name)
        for process in processes:
            with suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
        wait_for_ends(families, pod.spec.get("terminationGracePeriodSeconds", 30))
        self._kill_family(pod)
        self._state.journal.note("kubelet", "has ended", pod.group, pod.name)
        self._state.remove_pod(pod.name)
        del self._ending[pod.name]

    def _family(self, name: str) -> list[psutil.Process]:
        pids = [process.pid for process in self._processes.get(name, [])]
        return [*processes_of(pids), *(child for pid in pids for child in descendants(pid))]

    def _kill_family(self, pod: Pod) -> None:
        kill_all(self._family(pod.name))
        if pod.name in self._folders:
            # Some have left the family, or have overwritten their environment.
            kill_marked(_POD_MARK, str(self._folders[pod.name]))
            kill_writing_into(self._folders[pod.name])
        for process in self._processes.get(pod.name, []):
            process.wait(30)


def _listens(address: str) -> bool:
    host, _, port = address.rpartition(":")
    with suppress(OSError), socket.create_connection((host, int(port)), timeout=1):
        return True
    return False
