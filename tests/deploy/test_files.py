"""What deploy/ ships is readable by what it is for, fits this version, and is explained."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import ray
import yaml
from typer.testing import CliRunner

import untuned
from run_sweep import app

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
README = (DEPLOY / "README.md").read_text()
KUBERAY = json.loads(Path(__file__).with_name("kuberay_fields.json").read_text())["releases"]
SKYPILOT = json.loads(Path(__file__).with_name("skypilot_fields.json").read_text())
RAY_JOBS = ("rayjob.yaml", "rayjob-s3.yaml")
CLOUDS = ("cluster.yaml", "cluster-gcp.yaml")


def read(name: str) -> dict[str, Any]:
    return yaml.safe_load((DEPLOY / name).read_text())


def parts(job: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """The parts of a RayJob, each under the kind that its names of fields are listed by."""
    cluster = job["spec"]["rayClusterSpec"]
    groups = [("head", cluster["headGroupSpec"])]
    groups += [("worker", group) for group in cluster["workerGroupSpecs"]]
    pods = [("pod", group["template"]["spec"]) for _, group in groups]
    containers = [("container", c) for _, pod in pods for c in pod["containers"]]
    return [
        ("RayJob", job["spec"]),
        ("RayCluster", cluster),
        ("autoscaler", cluster["autoscalerOptions"]),
        ("authentication", cluster["authOptions"]),
        *groups,
        *pods,
        *containers,
    ]


def unknown_fields(job: dict[str, Any], release: str) -> list[str]:
    fields = KUBERAY[release]
    return [f"{kind}.{name}" for kind, part in parts(job) for name in part.keys() - fields[kind]]


@pytest.mark.parametrize("release", KUBERAY)
@pytest.mark.parametrize("name", RAY_JOBS)
def test_a_ray_job_has_fields_that_kuberay_knows(name: str, release: str):
    job = read(name)
    assert unknown_fields(job, release) == []
    mode = job["spec"]["rayClusterSpec"]["authOptions"]["mode"]
    assert mode in KUBERAY[release]["authentication modes"]
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")


def test_a_slip_in_a_ray_job_is_noticed():
    job = read("rayjob.yaml")
    job["spec"]["rayClusterSpec"]["headGroupSpec"]["template"]["spec"]["toleration"] = []
    assert unknown_fields(job, "v1.7.0") == ["pod.toleration"]


def test_a_task_has_fields_that_skypilot_knows():
    task = read("sky.yaml")
    resources = task["resources"]
    assert task.keys() <= set(SKYPILOT["task"])
    assert resources.keys() <= set(SKYPILOT["resources"])
    assert resources["job_recovery"].keys() <= set(SKYPILOT["job_recovery"])
    codes = resources["job_recovery"]["recover_on_exit_codes"]
    assert 2 not in codes and all(0 <= code <= 255 for code in codes)
    assert task["secrets"] == {"RAY_AUTH_TOKEN": None}  # to be given


@pytest.mark.parametrize("name", RAY_JOBS)
def test_a_ray_job_has_a_head_without_trials_and_pods_that_see_the_same(name: str):
    cluster = read(name)["spec"]["rayClusterSpec"]
    head, [workers] = cluster["headGroupSpec"], cluster["workerGroupSpecs"]
    assert head["rayStartParams"]["num-cpus"] == "0"
    pods = [group["template"]["spec"] for group in (head, workers)]
    containers = [pod["containers"][0] for pod in pods]
    for shared in ("image", "volumeMounts", "env", "envFrom"):
        assert containers[0].get(shared) == containers[1].get(shared)
    for shared in ("volumes", "securityContext"):
        assert pods[0].get(shared) == pods[1].get(shared)
    assert cluster["rayVersion"] == ray.__version__
    assert containers[0]["image"].endswith(f"untuned:{untuned.__version__}")


@pytest.mark.parametrize("name", RAY_JOBS)
def test_a_ray_job_scales_within_its_bounds_and_repeats_a_mistake_a_few_times_at_most(name: str):
    job = read(name)["spec"]
    [workers] = job["rayClusterSpec"]["workerGroupSpecs"]
    assert job["rayClusterSpec"]["enableInTreeAutoscaling"]  # else the bounds mean nothing
    assert workers["minReplicas"] <= workers["replicas"] <= workers["maxReplicas"]
    assert job["backoffLimit"] <= 2
    assert all(isinstance(v, str) for v in workers["rayStartParams"].values())


def test_the_two_ray_jobs_differ_in_their_storage_alone():
    jobs = [read(name) for name in RAY_JOBS]
    assert "/studies" in jobs[0]["spec"].pop("entrypoint")
    assert "s3://" in jobs[1]["spec"].pop("entrypoint")
    for _, part in parts(jobs[0]):
        part.pop("volumes", None)
        part.pop("volumeMounts", None)
    assert jobs[0] == jobs[1]


@pytest.mark.parametrize("name", CLOUDS)
def test_a_file_of_a_cloud_is_valid_for_ray_up(name: str):
    schema = Path(ray.__file__).parent / "autoscaler" / "ray-schema.json"
    cluster = read(name)
    jsonschema.validate(cluster, json.loads(schema.read_text()))
    types = cluster["available_node_types"]
    head = types.pop(cluster["head_node_type"])
    assert head["resources"] == {"CPU": 0}
    for node in (head, *types.values()):  # each writes to the bucket itself
        assert {"IamInstanceProfile", "serviceAccounts"} & node["node_config"].keys()
    starts = [*cluster["head_start_ray_commands"], *cluster["worker_start_ray_commands"]]
    assert all("ulimit -n" in line for line in starts if "ray start" in line)
    assert "-m venv" in " ".join(cluster["setup_commands"])


@pytest.mark.parametrize("name", CLOUDS)
def test_both_clouds_set_their_machines_up_alike(name: str):
    same = ("setup_commands", "head_start_ray_commands", "worker_start_ray_commands")
    extra = {"cluster.yaml": "[aws]", "cluster-gcp.yaml": "[gcp]"}[name]
    text = [json.dumps([read(file)[key] for key in same]) for file in (name, CLOUDS[0])]
    assert text[0].replace(extra, "") == text[1].replace("[aws]", "")


def test_the_image_is_pinned_and_nobody_is_root_in_it():
    lines = (DEPLOY / "Dockerfile").read_text().splitlines()
    words = "\n".join(lines)
    assert [line for line in lines if line.startswith("USER")] == ["USER 1000"]
    assert "--constraint constraints.txt" in words and "wget" in words and "[jobs]" in words
    assert not re.search(r"^(ADD|MAINTAINER)|:latest|sudo", words, re.MULTILINE)


def test_the_batch_script_is_right_bash():
    script = DEPLOY / "slurm.sh"
    subprocess.run(["bash", "-n", script], check=True)
    if shellcheck := shutil.which("shellcheck"):
        subprocess.run([shellcheck, script], check=True)
    assert script.stat().st_mode & 0o111


@pytest.mark.parametrize("studies", [["photos", "--arms", "ce"], []])
def test_a_task_of_a_job_array_without_a_study_ends_as_a_mistake(studies: list[str]):
    job = {"SLURM_JOB_ID": "17", "SLURM_ARRAY_TASK_ID": "1", "PATH": "/usr/bin:/bin"}
    command = ["bash", DEPLOY / "slurm.sh", *studies]
    done = subprocess.run(command, env=job, capture_output=True, text=True, check=False)
    says = "error: --array: there is no study for task 1, of 1 that are numbered from 0\n"
    assert (done.returncode, done.stderr) == (2, says)


def test_commands_in_the_files_are_those_of_the_command_line():
    help_of = CliRunner().invoke(app, ["launch", "--help"], env={"COLUMNS": "200"}).output
    known = set(re.findall(r"--[a-z-]+", re.sub(r"\x1b\[[0-9;]*m", "", help_of)))
    texts = [read(name)["spec"]["entrypoint"] for name in RAY_JOBS]
    texts += re.findall(r"untuned launch [^\n`\"|]*", README)
    texts += re.findall(r"untuned launch .*", (DEPLOY / "slurm.sh").read_text())
    for text in texts:
        ours = text.partition(" -- ")[0]
        assert set(re.findall(r"--[a-z-]+", ours)) <= known, text


def test_no_file_holds_a_secret():
    for path in DEPLOY.iterdir():
        text = path.read_text()
        assert not re.search(r"(API_KEY|TOKEN|SECRET)\s*[=:]\s*[\"']?[A-Za-z0-9]{8,}", text), path


def test_every_file_is_explained():
    for path in {*DEPLOY.iterdir()} - {DEPLOY / "README.md"}:
        assert f"`{path.name.removesuffix('.dockerignore')}`" in README, path.name


@pytest.mark.cluster
def test_aws_takes_the_machines_of_its_file_with_what_ray_adds(tmp_path: Path, monkeypatch):
    """`ray up` until it would connect to the head, on moto's AWS."""
    import boto3
    from moto import mock_aws
    from ray.autoscaler._private.commands import _bootstrap_config
    from ray.autoscaler._private.providers import _get_node_provider
    from ray.autoscaler._private.util import prepare_config

    monkeypatch.setenv("HOME", str(tmp_path))  # the machines' SSH key goes there
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    text = (DEPLOY / "cluster.yaml").read_text().replace("000000000000:", "123456789012:")
    with mock_aws():
        for name in ("untuned-head", "untuned-worker"):
            boto3.client("iam").create_instance_profile(InstanceProfileName=name)
        cluster = _bootstrap_config(prepare_config(yaml.safe_load(text)), no_config_cache=True)
        provider = _get_node_provider(cluster["provider"], cluster["cluster_name"])
        for name, node in cluster["available_node_types"].items():
            tags = {"ray-user-node-type": name, "ray-node-type": "worker"}
            tags |= {"ray-launch-config": "1", "ray-node-name": name}
            provider.create_node(node["node_config"], tags, 1)
        ec2: Any = boto3.resource("ec2", region_name=cluster["provider"]["region"])
        profiles = {i.instance_type: i.iam_instance_profile["Arn"] for i in ec2.instances.all()}
    assert {kind: arn.rpartition("/")[2] for kind, arn in profiles.items()} == {
        "m6i.large": "untuned-head",
        "g5.2xlarge": "untuned-worker",
    }
