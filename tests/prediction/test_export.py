"""An exported model predicts what the trial predicted, in a program that has no untuned."""

import json
import sys

import numpy as np
import onnxruntime
import pytest
import torch

from pipelines.errors import UserError
from pipelines.models.build import build
from pipelines.models.heads import Ensemble
from pipelines.prediction.export import export
from pipelines.prediction.predictor import Predictor
from pipelines.study.protocol import Model

SHAPE, CLASSES = (3, 12, 12), ["cat", "dog", "<owl>"]


def network(name="cnn", shape=SHAPE):
    torch.manual_seed(0)
    return build(Model(name=name, options={"width": 4} if name == "cnn" else {}), shape, 3).eval()


def predictor(of, shape=SHAPE):
    torch.manual_seed(1)
    channels = (shape[0], *[1] * (len(shape) - 1))
    return Predictor(
        of, torch.rand(channels) * 99, torch.rand(channels) + 50, CLASSES, shape
    ).eval()


MODELS = {
    "images": lambda: predictor(network()),
    "table": lambda: predictor(network("mlp", (5,)), (5,)),
    "two networks": lambda: predictor(Ensemble([network(), network("mlp")]).eval()),
}


def inputs(model, n):
    random = np.random.default_rng(n)
    if len(model.input_shape) == 1:
        return random.normal(size=(n, *model.input_shape)).astype(np.float32)
    return random.integers(256, size=(n, *model.input_shape), dtype=np.uint8)


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_an_exported_program_gives_the_same_probabilities_for_any_number(name, tmp_path):
    model, file = MODELS[name](), tmp_path / "model.pt2"
    export(model, file)
    extra = {"classes.json": ""}
    program = torch.export.load(file, extra_files=extra).module()
    assert json.loads(extra["classes.json"]) == CLASSES
    for n in (1, 7):
        x = torch.from_numpy(inputs(model, n))
        torch.testing.assert_close(program(x), model.of_stored(x), rtol=1e-5, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_onnx_gives_the_same_probabilities_for_any_number(name, tmp_path):
    model, file = MODELS[name](), tmp_path / "model.onnx"
    export(model, file)
    session = onnxruntime.InferenceSession(file)
    assert json.loads(session.get_modelmeta().custom_metadata_map["classes"]) == CLASSES
    for n in (1, 7):
        x = inputs(model, n)
        [got] = session.run(["probabilities"], {"x": x})
        assert got == pytest.approx(model.of_stored(torch.from_numpy(x)).numpy(), abs=1e-5)


def test_what_makes_the_probabilities_is_no_parameter_of_the_model():
    model = predictor(network("mlp", (5,)), (5,))
    assert {name.partition(".")[0] for name, _ in model.named_parameters()} == {"network"}


def test_another_ending_is_refused_before_anything_is_done(tmp_path):
    with pytest.raises(UserError, match=r"--export 'model\.h5': must end in \.onnx or \.pt2"):
        export(MODELS["table"](), "model.h5")


def test_onnx_without_its_package_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(UserError, match=r"pip install 'untuned\[onnx\]'"):
        export(MODELS["table"](), tmp_path / "m.onnx")
    assert not [*tmp_path.iterdir()]
