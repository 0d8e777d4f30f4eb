"""What deploy/ ships is readable by what it is for, fits this version, and SLURM's script runs."""

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

DEPLOY = Path(__file__).parents[2] / "deploy"


ANY, TEXT = {}, {"type": "string"}
COUNT, FLAG = {"type": "integer", "minimum": 0}, {"type": "boolean"}
TEXTS = {"type": "object", "additionalProperties": TEXT}


def entity(*required: str, **fields: dict) -> dict:
    """An object with these fields, and no others."""
    return {
        "type": "object",
        "properties": fields,
        "required": list(required),
        "additionalProperties": False,
    }


def entities(*required: str, **fields: dict) -> dict:
    return {"type": "array", "minItems": 1, "items": entity(*required, **fields)}


AMOUNTS = {
    "type": "object",
    "additionalProperties": {"type": "string", "pattern": r"^\d+(m|[KMGT]i?)?$"},
}
CONTAINERS = entities(
    *("name", "image", "resources"),
    **dict.fromkeys(("name", "image", "imagePullPolicy", "workingDir"), TEXT),
    **dict.fromkeys(("command", "args", "env", "ports", "lifecycle", "securityContext"), ANY),
    envFrom=entities(
        secretRef=entity("name", name=TEXT, optional=FLAG), configMapRef=ANY, prefix=TEXT
    ),
    resources=entity("requests", "limits", requests=AMOUNTS, limits=AMOUNTS),
    volumeMounts=entities("name", "mountPath", name=TEXT, mountPath=TEXT, readOnly=FLAG),
)
VOLUMES = entities(
    "name",
    name=TEXT,
    persistentVolumeClaim=entity("claimName", claimName=TEXT, readOnly=FLAG),
    **dict.fromkeys(("emptyDir", "nfs", "hostPath", "secret", "configMap"), ANY),
)
POD = entity(
    "spec",
    metadata=ANY,
    spec=entity(
        "containers",
        containers=CONTAINERS,
        volumes=VOLUMES,
        nodeSelector={"type": ["object", "null"], "additionalProperties": TEXT},
        terminationGracePeriodSeconds=COUNT,
        **dict.fromkeys(("serviceAccountName", "priorityClassName", "restartPolicy"), TEXT),
        **dict.fromkeys(("tolerations", "affinity", "imagePullSecrets", "securityContext"), ANY),
    ),
)
RAY_CLUSTER = entity(
    *("rayVersion", "headGroupSpec", "workerGroupSpecs", "authOptions"),
    rayVersion=TEXT,
    authOptions=entity("mode", mode={"enum": ["token", "disabled"]}, secretName=TEXT),
    enableInTreeAutoscaling=FLAG,
    autoscalerOptions=ANY,
    headGroupSpec=entity("template", template=POD, rayStartParams=TEXTS, serviceType=TEXT),
    workerGroupSpecs=entities(
        *("groupName", "template", "minReplicas", "maxReplicas"),
        template=POD,
        groupName=TEXT,
        rayStartParams=TEXTS,
        **dict.fromkeys(("replicas", "minReplicas", "maxReplicas", "numOfHosts"), COUNT),
    ),
)
#: The part of KubeRay's ray.io/v1 that a manifest of ours may use; the whole one is not shipped.
RAY_JOB = entity(
    *("apiVersion", "kind", "metadata", "spec"),
    apiVersion={"const": "ray.io/v1"},
    kind={"const": "RayJob"},
    metadata=entity("name", name=TEXT, namespace=TEXT, labels=TEXTS, annotations=TEXTS),
    spec=entity(
        *("entrypoint", "rayClusterSpec"),
        **dict.fromkeys(("entrypoint", "runtimeEnvYAML", "jobId", "entrypointResources"), TEXT),
        **dict.fromkeys(
            ("backoffLimit", "ttlSecondsAfterFinished", "activeDeadlineSeconds"), COUNT
        ),
        **dict.fromkeys(("shutdownAfterJobFinishes", "suspend"), FLAG),
        **dict.fromkeys(("submitterPodTemplate", "submitterConfig", "deletionStrategy"), ANY),
        submissionMode={"enum": ["K8sJobMode", "HTTPMode", "SidecarMode", "InteractiveMode"]},
        rayClusterSpec=RAY_CLUSTER,
    ),
)


def ray_job() -> dict:
    return yaml.safe_load((DEPLOY / "rayjob.yaml").read_text())


def test_the_cluster_file_is_valid_for_ray_up():
    schema = Path(ray.__file__).parent / "autoscaler" / "ray-schema.json"
    cluster = yaml.safe_load((DEPLOY / "cluster.yaml").read_text())
    jsonschema.validate(cluster, json.loads(schema.read_text()))
    assert cluster["head_node_type"] in cluster["available_node_types"]


def test_the_ray_job_is_valid_for_kuberay():
    jsonschema.validate(ray_job(), RAY_JOB)


@pytest.mark.parametrize(
    ("place", "value", "says"),
    [
        (("spec", "rayClusterSpecs"), {}, "rayClusterSpecs"),
        (("spec", "submissionMode"), "JobMode", "JobMode"),
        (("spec", "rayClusterSpec", "headGroupSpec", "rayStartParams", "num-cpus"), 0, "string"),
        (("spec", "rayClusterSpec", "workerGroupSpecs", 0, "replicas"), "4", "integer"),
        (("spec", "rayClusterSpec", "headGroupSpec", "template", "volumes"), [], "volumes"),
    ],
)
def test_a_slip_in_the_ray_job_is_noticed(place: tuple, value: object, says: str):
    job = part = ray_job()
    for name in place[:-1]:
        part = part[name]
    part[place[-1]] = value
    with pytest.raises(jsonschema.ValidationError, match=says):
        jsonschema.validate(job, RAY_JOB)


def test_the_ray_job_has_a_head_without_trials_and_pods_that_see_the_same():
    job = ray_job()
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
    for option in {w for w in words if w.startswith("--")} | {
        "--gpus-per-trial",
        "--device",
        "--address",
    }:
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
    for setting in (
        "STUDY",
        "STORAGE",
        "OPTIONS",
        "image",
        "claimName",
        "ImageId",
        "InstanceType",
    ):
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
