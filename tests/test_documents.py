"""When two results are the same."""

from pipelines.documents import decode, differences, encode

OLD = {"passes": 3, "held_out": {"score": {"last": 0.5}, "last": {"accuracy": 0.5}}}


def with_bits(last: str):
    return OLD | {"held_out": OLD["held_out"] | {"correct": {"last": last}}}


def test_what_an_older_version_did_not_write_is_no_difference():
    assert differences(OLD, with_bits("Zg==")) == []
    assert differences(with_bits("Zg=="), OLD) == []


def test_where_both_have_it_it_is_compared():
    assert differences(with_bits("Zg=="), with_bits("Zg==")) == []
    assert differences(with_bits("Zg=="), with_bits("Zw==")) == ["held_out"]


def test_signs_of_collapse_are_compared_where_both_results_have_them_though_there_be_none():
    none, some = OLD | {"collapse": {}}, OLD | {"collapse": {"chance": 3}}
    assert differences(OLD, some) == differences(some, OLD) == differences(none, OLD) == []
    assert differences(none, some) == ["collapse"]


def test_the_rest_is_compared_whatever_one_of_them_lacks():
    other = with_bits("Zg==")
    other["held_out"] = other["held_out"] | {"score": {"last": 0.6}}
    assert differences(OLD, other) == ["held_out"]


def test_what_differs_from_run_to_run_does_not_count():
    assert differences(OLD | {"cost": 1, "attempt": 1}, OLD | {"cost": 2}) == []


def test_a_digest_that_does_not_know_of_places_is_believed_and_another_places_is_not():
    document = {"key": "ce-1", "passes": 7}
    assert decode(encode(document), "trials/ce-1/result.json") == document
    assert decode(encode(document, "trials/ce-2/result.json"), "trials/ce-1/result.json") is None
