"""A container of a pod as a process: its own command, variables and mounts, in a network namespace.

The root is this machine's, with the pod's volumes mounted over it, so paths are those of the manifest. What
a real one has beside: an image, another user, a file system that cannot be written. ``image`` says which
code answers to the command's name.

Not mounted is /tmp: this machine's programs may lie there.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.live import ROOT, Program
from tests_cluster.network import NetworkNode

Json = dict[str, Any]

NOT_MOUNTED = frozenset({"/tmp"})
# `ip netns exec` has given the process mounts of its own. Pairs of a folder and where it is mounted, then --,
# the working directory, the command.
_ENTER = """
set -e
root=/mnt
mount -t tmpfs -o size=4m,mode=755 none $root
for path in /*; do
  if [ -L "$path" ]; then cp -P "$path" $root/
  elif [ "$path" = /run ] || [ "$path" = /mnt ]; then mkdir "$root$path"
  elif [ -d "$path" ]; then mkdir "$root$path"; mount --rbind "$path" "$root$path"
  fi
done
while [ "$1" != -- ]; do mkdir -p "$root$2"; mount --bind "$1" "$root$2"; shift 2; done
shift
exec chroot $root sh -c 'cd "$0" && exec "$@"' "$@"
"""


def image(program: Program, directory: Path) -> dict[str, str]:
    """The variables of containers in which ``vecraft`` is ``program``; the script goes into ``directory``."""
    script = directory / "vecraft"
    if not script.exists():
        directory.mkdir(parents=True, exist_ok=True)
        script.write_text(f'#!/bin/sh\nexec {program.python} -m vecraft.cli "$@"\n')
        script.chmod(0o755)
    return {
        "PATH": f"{directory}:{os.environ['PATH']}",
        "PYTHONPATH": str(program.root),
        "PYTHONPYCACHEPREFIX": str(ROOT / ".cache/bytecode"),
        "HOME": "/tmp",
        "LANG": "C.UTF-8",
    }


@dataclass(frozen=True)
class Container:
    """``spec``: the container's, of the manifest. ``volumes``: the folder of each volume, by name."""

    spec: Json
    node: NetworkNode
    variables: Mapping[str, str]
    volumes: Mapping[str, Path]

    @property
    def command(self) -> list[str]:
        parts = [*self.spec["command"], *self.spec.get("args", ())]
        return [expanded(part, self.variables) for part in parts]

    def launch(self, command: Sequence[str], output: Path) -> subprocess.Popen[bytes]:
        """A process of the container, under the id it is given; what it writes goes to ``output``."""
        mounts = []
        for mount in self.spec.get("volumeMounts", ()):
            if mount["mountPath"] not in NOT_MOUNTED:
                folder = self.volumes[mount["name"]] / mount.get("subPath", "")
                mounts += [str(folder), os.path.realpath(mount["mountPath"])]
        inside = ["sh", "-c", _ENTER, "container", *mounts, "--", self.spec.get("workingDir", "/"), *command]
        with output.open("ab") as log:
            return subprocess.Popen(
                self.node.command(inside),
                env=dict(self.variables),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )


def expanded(text: str, variables: Mapping[str, str]) -> str:
    """``$(NAME)`` becomes the variable, as Kubernetes has it; an unknown one stays."""
    return re.sub(r"\$\((\w+)\)", lambda found: variables.get(found[1], found[0]), text)
