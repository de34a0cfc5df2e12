"""What others copy: each file can be read, and says to airlock what airlock understands."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from typing import Any

import pytest
import yaml

from airlock import cli
from tests.history import ROOT

KUBERNETES = sorted((ROOT / "docs/examples/kubernetes").glob("*.yaml"))


def understood(words: list[str]) -> bool:
    """Let airlock's parser read a command; it raises Usage for what it does not know."""
    return bool(cli.parser(words[0]).parse_args(words).command)


@pytest.mark.parametrize("path", KUBERNETES, ids=lambda path: path.name)
def test_a_job_runs_as_nobody_in_particular(path: Any) -> None:
    """Not as root, once, with time to let go of its lease."""
    job = yaml.safe_load(path.read_text())
    assert (job["apiVersion"], job["kind"]) == ("batch/v1", "Job")
    pod = job["spec"]["template"]["spec"]
    assert pod["restartPolicy"] == "Never"
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["terminationGracePeriodSeconds"] >= 30
    (container,) = pod["containers"]
    assert understood(container["args"])


def kept(given: Any, back: Any) -> bool:
    """Tell whether everything that was given has come back; more may have."""
    if isinstance(given, dict):
        return isinstance(back, dict) and all(
            name in back and kept(given[name], back[name]) for name in given
        )
    if isinstance(given, list):
        return isinstance(back, list) and len(given) == len(back) and all(map(kept, given, back))
    return bool(given == back)


@pytest.mark.parametrize("path", KUBERNETES, ids=lambda path: path.name)
def test_kubernetes_own_client_knows_every_field(path: Any) -> None:
    """Where it is installed: a field that it does not know would not come back. It asks no cluster."""
    kubectl = shutil.which("kubectl")
    if kubectl is not None:
        words = [kubectl, "annotate", "--local", "-f", str(path), "airlock.example/tried=yes", "-o", "yaml"]
        ran = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
        assert ran.returncode == 0, ran.stderr
        assert kept(yaml.safe_load(path.read_text()), yaml.safe_load(ran.stdout))


def test_a_gitlab_job_says_what_airlock_understands() -> None:
    """Every script line of the template."""
    jobs = yaml.safe_load((ROOT / "docs/examples/gitlab/airlock.yml").read_text())
    lines = [line for name, job in jobs.items() if name.startswith(".") for line in job.get("script", ())]
    assert len(lines) == 3
    for line in lines:
        assert understood(shlex.split(line)[1:]), line


def test_the_action_and_the_hook_are_whole() -> None:
    """A composite action whose steps name their shell; a hook that runs check."""
    action = yaml.safe_load((ROOT / "action.yml").read_text())
    assert action["runs"]["using"] == "composite"
    for step in action["runs"]["steps"]:
        assert "uses" in step or step["shell"] == "bash"
    assert understood(shlex.split(action["inputs"]["command"]["default"]))
    (hook,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    assert understood(shlex.split(hook["entry"])[1:])


def test_the_image_has_no_root_and_no_compiler() -> None:
    """The last stage ends as another user, with airlock as its entry point."""
    stages = (ROOT / "Dockerfile").read_text().split("\nFROM ")
    last = stages[-1]
    assert "USER 10001" in last
    assert 'ENTRYPOINT ["airlock"]' in last
    assert not any(word in last for word in ("apt-get", "gcc", "pip install"))
    assert "--only-binary :all:" in stages[-2]
