"""Marks that the tests of several folders have."""

import pytest

# For what knows nothing of the store: terminals, pipes, signals, what is refused before a store is opened.
ONE_STORE = pytest.mark.parametrize("database", ["sqlite"], indirect=True)
