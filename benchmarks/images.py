"""Random images and labels as a data source, for benchmarks of speed."""

from functools import partial
from typing import Any

import numpy as np

EXAMPLES = 4096


def images(classes: int) -> dict[str, Any]:
    """CIFAR-sized random images whose labels mean nothing."""
    rng = np.random.default_rng(0)
    x = rng.integers(256, size=(EXAMPLES, 3, 32, 32), dtype=np.uint8)
    return {"x": x, "y": np.arange(EXAMPLES) % classes}


images_10 = partial(images, 10)
images_100 = partial(images, 100)
