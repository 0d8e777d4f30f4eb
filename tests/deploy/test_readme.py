"""The commands of deploy/README.md: bash reads them, and the programs that they name know them."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import click
import pytest
import typer
import yaml

from run_sweep import app
from tests.deploy.test_files import KUBERAY

ROOT = Path(__file__).parents[2]
README = (ROOT / "deploy" / "README.md").read_text()
#: `make test-cluster` runs SLURM's; of docker, apptainer, sky and pip bash reads the words.
PROGRAMS = {"make", "untuned", "ray", "kubectl", "sbatch", "scancel", "squeue", "scontrol"}
PROGRAMS |= {"docker", "apptainer", "sky", "pip"}
BLOCK = re.compile(r"(?:^    .*\n)+", re.MULTILINE)
INLINE = re.compile(r"`([a-z./]+ [^`\n]+)`")


def blocks() -> list[str]:
    """The indented lines of each paragraph."""
    return [re.sub(r"^    ", "", block, flags=re.MULTILINE) for block in BLOCK.findall(README)]


def commands() -> list[list[str]]:
    """The words of each command, of blocks and within lines; a variable's value is not known."""
    found, open_line = [], ""
    for line in [line for block in blocks() for line in block.splitlines()]:
        open_line = f"{open_line}\n{line}".removeprefix("\n").replace("\\\n", " ")
        try:
            words = shlex.split(open_line.removesuffix("\\"), comments=True)
        except ValueError:  # a quotation goes on
            continue
        if not open_line.endswith("\\"):
            found.append(words)
            open_line = ""
    assert not open_line
    found += [shlex.split(inline) for inline in INLINE.findall(README)]
    return [words for words in found if words and Path(words[0]).name in PROGRAMS]


def of_program(name: str) -> list[list[str]]:
    return [words[1:] for words in commands() if Path(words[0]).name == name]


def understood(group: Any, words: list[str]) -> None:
    """Raises where click does not know the command, an option of it, or has no place for a word."""
    command = group.get_command(click.Context(group), words[0])
    assert command is not None, words
    if isinstance(command, click.Group):
        return understood(command, words[1:])
    command.make_parser(click.Context(command)).parse_args([*words[1:]])
    return None


def test_all_kinds_of_commands_are_found():
    assert {Path(words[0]).name for words in commands()} == PROGRAMS
    assert ["runs/digits"] in [words[1:] for words in of_program("untuned")]


def test_bash_reads_every_block():
    shell = [block for block in blocks() if Path(shlex.split(block)[0]).name in PROGRAMS | {"RUN"}]
    text = "\n".join(shell)
    subprocess.run(["bash", "-n"], input=text, text=True, check=True)


def test_the_command_line_knows_its_own():
    for words in of_program("untuned"):
        understood(typer.main.get_command(app), words)
    launches = [words for words in of_program("ray") if words[0] == "exec"]
    [[*_, remote]] = launches
    words = shlex.split(remote)
    place = words.index("~/venv/bin/untuned")
    assert all(re.fullmatch(r"[A-Z_]+=\w+", word) for word in words[:place])
    understood(typer.main.get_command(app), words[place + 1 :])


def test_a_slip_would_be_noticed():
    with pytest.raises(Exception, match="No such option: --storrage"):
        understood(typer.main.get_command(app), ["launch", "digits", "--storrage", "x"])


def test_ray_knows_its_own():
    from ray.scripts.scripts import cli

    for words in of_program("ray"):
        understood(cli, words)


def test_make_has_what_is_made():
    for targets in of_program("make"):
        subprocess.run(["make", "-n", *targets], cwd=ROOT, capture_output=True, check=True)


needs_kubectl = pytest.mark.skipif(shutil.which("kubectl") is None, reason="there is no kubectl")


def kubectl(*words: str) -> str:
    """What it prints, without a cluster."""
    command, environment = ["kubectl", *words], {"PATH": os.environ["PATH"], "HOME": "/nonexistent"}
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, check=True
    ).stdout


@needs_kubectl
def test_kubectl_makes_the_secrets():
    made = [words for words in of_program("kubectl") if words[0] == "create"]
    for words in made:
        secret = yaml.safe_load(kubectl(*words, "--dry-run=client", "--output=yaml"))
        assert secret["metadata"]["name"] == "untuned" and "WANDB_API_KEY" in secret["data"]
    assert len(made) == 2


@pytest.mark.slow
@needs_kubectl
def test_kubectl_knows_the_options_of_what_needs_a_cluster():
    for verb, *words in of_program("kubectl"):
        known = kubectl(verb, "--help")
        for option in (word.partition("=")[0] for word in words if re.match("--?[a-z]", word)):
            assert verb == "create" or re.search(rf"(^|[\s,]){option}[=,: ]", known), (verb, option)


def test_the_pod_that_fetches_a_report_has_fields_that_kubernetes_knows():
    [pod] = [
        json.loads(word.removeprefix("--overrides="))
        for words in of_program("kubectl")
        for word in words
        if word.startswith("--overrides=")
    ]
    fields = KUBERAY["v1.7.0"]
    assert pod["apiVersion"] == "v1" and pod["spec"].keys() <= {*fields["pod"]}
    assert all(
        container.keys() <= {*fields["container"]} for container in pod["spec"]["containers"]
    )


def test_files_that_are_named_are_there():
    named = re.findall(r"deploy/[\w.-]+", README)
    assert named and all((ROOT / name).exists() for name in named)
