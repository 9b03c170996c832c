from __future__ import annotations

import json
import pickle
from copy import deepcopy

import pytest

from mlbaseline.records import Fields, canonical_json, digest_of

PLACES = {"text": 0, "n": 1, "late": 2, "body": 0}
ROW = Fields(PLACES, ("hello", 3))
AS_DICT = {"text": "hello", "n": 3, "late": None, "body": "hello"}


def test_a_row_is_the_mapping_that_it_stands_for() -> None:
    assert ROW == AS_DICT
    assert AS_DICT == ROW
    assert {**ROW, "more": 1} == {**AS_DICT, "more": 1}
    assert list(ROW) == list(AS_DICT)
    assert ("n" in ROW, "N" in ROW, len(ROW)) == (True, False, 4)
    assert repr(ROW) == repr(AS_DICT)
    with pytest.raises(KeyError):
        ROW["N"]


def test_copies_and_pickles_are_equal() -> None:
    assert deepcopy(ROW) == ROW == pickle.loads(pickle.dumps(ROW))


def test_a_row_has_the_digest_of_its_dict() -> None:
    assert digest_of(["é", ROW]) == digest_of(["é", AS_DICT])
    assert json.loads(canonical_json(ROW)) == AS_DICT
    with pytest.raises(TypeError, match="set has no canonical JSON"):
        digest_of({1, 2})
