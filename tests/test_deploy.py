"""What deploy/ ships: readable by what it is for, in line with this version, and the SLURM script
runs.
"""

import json
import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
import ray
import yaml

DEPLOY = Path(__file__).parent.parent / "deploy"


def ray_job() -> dict:
    return yaml.safe_load((DEPLOY / "rayjob.yaml").read_text())


def test_the_cluster_file_is_valid_for_ray_up():
    schema = Path(ray.__file__).parent / "autoscaler" / "ray-schema.json"
    cluster = yaml.safe_load((DEPLOY / "cluster.yaml").read_text())
    jsonschema.validate(cluster, json.loads(schema.read_text()))
    assert cluster["head_node_type"] in cluster["available_node_types"]


def test_the_ray_job_has_a_head_without_trials_and_pods_that_see_the_same():
    job = ray_job()
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    spec = job["spec"]["rayClusterSpec"]
    head, [workers] = spec["headGroupSpec"], spec["workerGroupSpecs"]
    assert head["rayStartParams"]["num-cpus"] == "0"
    pods = [group["template"]["spec"] for group in (head, workers)]
    [image] = {pod["containers"][0]["image"] for pod in pods}
    assert pods[0]["volumes"] == pods[1]["volumes"]
    assert pods[0]["containers"][0]["volumeMounts"] == pods[1]["containers"][0]["volumeMounts"]
    assert spec["authOptions"]["mode"] == "token" and image
    assert spec["rayVersion"] == ray.__version__


def test_commands_in_the_manifests_are_those_of_the_command_line():
    from typer.testing import CliRunner

    from run_sweep import app

    words = ray_job()["spec"]["entrypoint"].split()
    assert words[:2] == ["untuned", "launch"]
    shown = CliRunner().invoke(app, ["launch", "--help"], env={"COLUMNS": "200"}).output
    script = (DEPLOY / "slurm.sh").read_text()
    for option in {w for w in words if w.startswith("--")} | {"--gpus-per-trial", "--address"}:
        assert option in re.sub(r"\x1b\[[0-9;]*m", "", shown)
    assert '--storage "$STORAGE" --address "$ADDRESS"' in script


def test_no_manifest_holds_a_secret():
    for path in DEPLOY.iterdir():
        text = path.read_text()
        assert not re.search(r"(API_KEY|TOKEN|SECRET)\s*[=:]\s*[\"']?[A-Za-z0-9]{8,}", text), path


def test_every_setting_to_fill_in_is_explained():
    readme = (DEPLOY / "README.md").read_text()
    for name in ("slurm.sh", "rayjob.yaml", "cluster.yaml"):
        assert name in readme
    for setting in ("STUDY", "STORAGE", "OPTIONS", "image", "claimName", "ImageId", "InstanceType"):
        assert f"`{setting}`" in readme


def stub(folder: Path, name: str, body: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/bash\n{body}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


@pytest.mark.slow
@pytest.mark.parametrize("status", [0, 138])
def test_the_slurm_script_starts_two_nodes_runs_the_launch_and_leaves_nothing(
    tmp_path: Path, status: int
):
    """Two real Ray nodes on loopback; the launch counts them, its status decides on a requeue."""
    tools, home = tmp_path / "bin", tmp_path / "home"
    tools.mkdir()
    home.mkdir()
    # Options of srun start with a dash; -w takes a value.
    stub(tools, "srun", 'while [[ $1 == -* ]]; do [[ $1 == -w ]] && shift; shift; done; exec "$@"')
    stub(tools, "hostname", "echo 127.0.0.1")
    stub(
        tools,
        "scontrol",
        f'[ "$1" = show ] && printf "one\\ntwo\\n"; echo "$@" >> {tmp_path}/scontrol; true',
    )
    program = tmp_path / "launch.py"
    program.write_text(
        f"""
import sys, time, ray
ray.init(sys.argv[sys.argv.index("--address") + 1], logging_level="ERROR")
while sum(node["Alive"] for node in ray.nodes()) < 2:
    time.sleep(0.2)
print("two nodes", sys.argv[1:3])
sys.exit({status})
"""
    )
    environment = {k: v for k, v in os.environ.items() if not k.startswith("RAY_")} | {
        "PATH": f"{tools}:{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HOME": str(home),
        "SLURM_JOB_NODELIST": "one,two",
        "SLURM_JOB_ID": "7",
        "SLURM_CPUS_PER_TASK": "1",
        "PORT": "6399",
        "LAUNCH": f"{sys.executable} {program}",
    }
    done = subprocess.run(
        [str(DEPLOY / "slurm.sh")],
        env=environment,
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert done.returncode == status, done.stderr
    assert "two nodes ['launch', 'digits']" in done.stdout
    assert ("requeue 7" in (tmp_path / "scontrol").read_text()) == (status == 138)
    assert not list(home.glob(".untuned-token*"))
