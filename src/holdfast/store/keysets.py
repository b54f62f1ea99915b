"""Many keys as one value: a statement that is the same for any number of them, and is not spelt out anew each time."""

from collections.abc import Sequence
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement


class _Keys(sa.TypeDecorator[Sequence[Any]]):
    """Keys as each dialect takes them at once: an array, or the text of one."""

    impl = sa.Text
    cache_ok = True

    def __init__(self, item: sa.types.TypeEngine[Any]) -> None:
        super().__init__()
        self.item = item

    def load_dialect_impl(self, dialect: sa.Dialect) -> sa.types.TypeEngine[Any]:
        has_arrays = dialect.name == "postgresql"
        return dialect.type_descriptor(sa.ARRAY(self.item) if has_arrays else sa.Text())

    def process_bind_param(self, value: Sequence[Any] | None, dialect: sa.Dialect) -> Any:
        return value if value is None or dialect.name == "postgresql" else msgspec.json.encode(value).decode()


class _Unpacked(FunctionElement[Any]):
    inherit_cache = True
    name = "unpacked"


@compiles(_Unpacked, "sqlite")
def _of_json(element: _Unpacked, compiler: SQLCompiler, **given: Any) -> str:
    return f"(SELECT value FROM json_each({compiler.process(element.clauses, **given)}))"  # noqa: S608 a parameter


@compiles(_Unpacked, "postgresql")
def _of_array(element: _Unpacked, compiler: SQLCompiler, **given: Any) -> str:
    return f"(SELECT unnest({compiler.process(element.clauses, **given)}))"


def among(column: sa.ColumnElement[Any], many: str | Sequence[Any]) -> sa.ColumnElement[bool]:
    """Whether a column's value is one of many: of a list, or of the parameter of that name, which is one."""
    type_ = _Keys(column.type)
    given = sa.bindparam(many, type_=type_) if isinstance(many, str) else sa.bindparam(None, many, type_=type_)
    return column.op("IN", is_comparison=True)(_Unpacked(given))
