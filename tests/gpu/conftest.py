"""What needs a GPU: `python -m pytest -m gpu tests/gpu`, about two minutes."""

import pytest
import torch


def pytest_collection_modifyitems(items):
    for item in items:
        if "tests/gpu/" in item.nodeid:
            item.add_marker(pytest.mark.gpu)
            if not torch.cuda.is_available():
                item.add_marker(pytest.mark.skip(reason="needs a GPU"))


@pytest.fixture
def cuda():
    torch.cuda.empty_cache()
    return torch.device("cuda")
