"""Search by a Qdrant server; the analyses themselves, and who may see them, stay in the store."""

import hashlib
import uuid
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import sqlalchemy as sa

from holdfast.domain.errors import ProcessorUnavailable
from holdfast.domain.processing import Ranked
from holdfast.processors.vector.index import (
    Allowed,
    Entry,
    Matrix,
    Model,
    Scored,
    Vector,
    among,
    confirmed,
    portions,
)
