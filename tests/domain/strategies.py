"""Values of the domain, for Hypothesis."""

from datetime import UTC, datetime
from typing import Any

from hypothesis import strategies as st

moments = st.datetimes(
    min_value=datetime(1971, 1, 1),  # noqa: DTZ001 - Hypothesis adds the zone
    max_value=datetime(2900, 1, 1),  # noqa: DTZ001 - as above
    timezones=st.just(UTC),
)
numbers = st.integers(-(2**60), 2**60) | st.floats(allow_nan=False, allow_infinity=False)
documents: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | numbers | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=10,
)
params = st.dictionaries(st.text(max_size=10), documents, max_size=5)
