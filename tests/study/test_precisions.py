"""Precisions that a study may name."""

import pytest
from pydantic import ValidationError

from pipelines.study.protocol import Protocol
from pipelines.study.validation import describe


@pytest.mark.parametrize("name", ["float16", "fp16", "half"])
def test_float16_is_refused_by_name_with_what_to_use(name):
    with pytest.raises(ValidationError) as refused:
        Protocol.model_validate({"precision": name})
    message = describe(refused.value, Protocol)
    assert message.startswith(f"precision = '{name}': use bfloat16: ") and "\n" not in message


@pytest.mark.parametrize("given", ["float8", 16, None, ["float16"]])
def test_others_are_answered_with_those_that_there_are(given):
    with pytest.raises(ValidationError, match="'float32', 'tfloat32' or 'bfloat16'"):
        Protocol.model_validate({"precision": given})
