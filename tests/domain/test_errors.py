import inspect

import pytest

from holdfast.domain import errors
from holdfast.domain.errors import HoldfastError

TREE = [value for value in vars(errors).values() if inspect.isclass(value) and issubclass(value, HoldfastError)]


@pytest.mark.parametrize("kind", TREE)
def test_every_error_says_what_and_has_a_code_of_its_own(kind: type[HoldfastError]) -> None:
    assert kind().message == (kind.__doc__ or "").strip()
    assert kind("other", analysis_id="a", limit=3).details == {"limit": 3}
    assert "code" in vars(kind)
    assert kind.code == kind.code.upper()


def test_codes_are_unique() -> None:
    assert len({kind.code for kind in TREE}) == len(TREE)
