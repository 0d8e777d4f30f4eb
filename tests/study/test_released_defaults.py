"""Defaults never change once they are released, and options that are added leave old keys alone.

`released_defaults.json` holds the default of every option by model. A key of a trial and a study's
hash are taken of the values of all options of schema 1, and of those added later that differ from
their default: so a changed default would give another meaning to old keys.
"""

import json
from pathlib import Path
from typing import Literal

import pytest
from pydantic_core import PydanticUndefined

from pipelines.documents import digest
from pipelines.study import phases, protocol
from pipelines.study.phases import Meta, Phase, phase_identity
from pipelines.study.protocol import Protocol, Schedule, protocol_hash
from pipelines.study.validation import Strict, added, identity

RELEASED = json.loads((Path(__file__).parent / "released_defaults.json").read_text())
MODELS = {
    model.__name__: model
    for module in (phases, protocol)
    for model in vars(module).values()
    if isinstance(model, type) and issubclass(model, Strict) and model is not Strict
}


def default_of(field):
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    assert value is not PydanticUndefined
    # of a group: what its members say, but for those that were added
    return identity(value) if isinstance(value, Strict) else value


def test_no_released_default_has_changed():
    now = {
        name: {option: default_of(field) for option, field in model.model_fields.items()}
        for name, model in MODELS.items()
    }
    for model, options in RELEASED["schema 1"].items():
        for option, default in (options | RELEASED["added"].get(model, {})).items():
            assert now[model][option] == default, (
                f"{model}.{option} had the default {default!r}: keys of finished trials say so. "
                "Leave it, and give a new meaning a new option"
            )


def test_options_younger_than_schema_1_are_declared_as_added_and_recorded():
    for name, model in MODELS.items():
        for option, field in model.model_fields.items():
            if option not in RELEASED["schema 1"].get(name, {}):
                assert field.json_schema_extra == {"added": True}, (
                    f"{name}.{option} is new: declare it with `added(default)`, or every existing "
                    "study gets other keys"
                )
                assert RELEASED["added"][name][option] == default_of(field), (
                    f"record the default of {name}.{option} in released_defaults.json"
                )


class WithMore(Schedule):
    """The schedule of a later version."""

    optimizer: Literal["sgd", "adamw"] = added("sgd", description="which")
    betas: list[float] = added([0.9, 0.999])


class LaterProtocol(Protocol):
    schedule: WithMore = WithMore()


class LaterMeta(Meta):
    step: Literal["plain", "own"] = added("plain")


class LaterPhase(Phase):
    meta: LaterMeta = LaterMeta()
    networks: int = added(1)


@pytest.mark.parametrize("lr", [0.1, 0.05])
def test_an_added_option_at_its_default_is_no_part_of_a_studys_identity(lr):
    schedule = {"lr": lr}
    now = Protocol.model_validate({"schedule": schedule})
    later = LaterProtocol.model_validate({"schedule": schedule})
    other = LaterProtocol.model_validate({"schedule": schedule | {"optimizer": "adamw"}})
    assert protocol_hash(now, "data") == protocol_hash(later, "data")
    assert protocol_hash(other, "data") != protocol_hash(later, "data")
    assert identity(other)["schedule"] == identity(now)["schedule"] | {"optimizer": "adamw"}


def test_nor_of_a_trials():
    phase = {"method": "methods.losses.focal:Focal"}
    now, later = Phase.model_validate(phase), LaterPhase.model_validate(phase)
    assert phase_identity(now) == phase_identity(later)
    other = LaterPhase.model_validate(phase | {"meta": {"step": "own"}})
    assert phase_identity(other)["meta"] == phase_identity(now)["meta"] | {"step": "own"}


def test_hashes_are_those_of_version_0_1():
    """Of commit 18895cb."""
    assert (
        protocol_hash(Protocol(), "data")
        == "84c0951b9b0726cc512db5e3e5130b89e4ee108c340fc9bdd2ec9068ea8c5476"
    )
    phase = Phase.model_validate({"method": "methods.losses.focal:Focal"})
    assert digest(phase_identity(phase)) == (
        "27e9acea93c4aed97b009c83cdbd3e419350a134ba809d9e751a1f5eb378ffa3"
    )


def test_the_family_of_a_method_is_no_part_of_a_trials_identity():
    short, whole = (
        Phase.model_validate({"method": f"methods.{path}:Focal"})
        for path in ("focal", "losses.focal")
    )
    assert short == whole and short.method == "methods.losses.focal:Focal"
    assert phase_identity(whole)["method"] == "methods.focal:Focal"
