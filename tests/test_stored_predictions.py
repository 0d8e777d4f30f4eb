"""What a result keeps of predictions: as small as it can be, and read back as it was."""

import base64
import json

import numpy as np
import pytest
import sklearn.metrics as sk
import torch

from pipelines.metrics import evaluate
from pipelines.stored_predictions import DENSE, confusion_matrix, pack_hits, unpack_hits
from tests.test_metrics import sample


@pytest.mark.parametrize(("n", "classes"), [(50, DENSE), (50, DENSE + 1), (3000, 1000)])
def test_a_confusion_is_no_larger_than_its_matrix_or_its_examples(n: int, classes: int):
    p, y = sample(n, classes, classes, classes)
    stored = json.loads(json.dumps(evaluate(p, y)["confusion"]))
    expected = sk.confusion_matrix(y, p.argmax(1), labels=range(classes))
    assert (confusion_matrix(stored) == expected).all()
    if classes <= DENSE:
        assert stored == expected.tolist(), "as version 0.1 wrote it"
    else:
        assert len(stored["counts"]) <= n


@pytest.mark.parametrize("n", [1, 8, 500])
def test_a_byte_holds_eight_examples_in_the_order_of_their_classes(n: int):
    p, y = sample(n, 3, 1, 3)
    packed = pack_hits(p, y)
    assert len(base64.b64decode(packed)) == -(-n // 8)
    hits = unpack_hits(packed, n)
    expected = [(p[i].argmax() == y[i]).item() for k in range(3) for i in torch.where(y == k)[0]]
    assert np.array_equal(hits, expected)
