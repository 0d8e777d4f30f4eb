"""What a machine says of its GPUs, without opening one."""

import subprocess

import pytest
import torch

from pipelines.execution import machine


@pytest.fixture
def told(monkeypatch):
    """What nvidia-smi says, or the error that calling it ends with."""

    def tell(answer: str | Exception) -> list[str]:
        def check_output(command, **options):
            assert command[0] == "nvidia-smi"
            if isinstance(answer, Exception):
                raise answer
            return answer

        monkeypatch.setattr(torch.cuda, "init", lambda: pytest.fail("a context is opened"))
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda *_: pytest.fail("opened"))
        monkeypatch.setattr(subprocess, "check_output", check_output)
        return machine.devices()

    return tell


def test_each_gpu_is_named_with_its_memory_and_whether_it_is_divided(told):
    lines = "NVIDIA H100 80GB HBM3, 80507, 81559, Disabled\nNVIDIA A100, 40100, 40960, Enabled\n"
    assert told(lines) == [
        "NVIDIA H100 80GB HBM3, 79 of 80 GiB free",
        "NVIDIA A100, 39 of 40 GiB free, MIG",
    ]


def test_a_gpu_that_shares_the_hosts_memory_is_named_alone(told):
    assert told("NVIDIA GB10, [N/A], [N/A], [N/A]\n") == ["NVIDIA GB10"]


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (FileNotFoundError(), []),
        (subprocess.CalledProcessError(9, "nvidia-smi"), ["nvidia-smi fails"]),
        (subprocess.TimeoutExpired("nvidia-smi", 30), ["nvidia-smi fails"]),
    ],
)
def test_no_tool_is_no_gpu_and_a_tool_that_fails_is_named(told, error: Exception, says):
    assert told(error) == says
