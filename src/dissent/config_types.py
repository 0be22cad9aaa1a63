"""The words in which the shapes of a run file are written."""

from collections.abc import Callable
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    Strict,
    ValidationError,
    WrapValidator,
)

ID = r"^[a-z0-9][a-z0-9._-]*$"
SHA256 = r"^[0-9a-f]{64}$"
COMMIT = r"^[0-9a-f]{40}$"
# `main`: what the hub has now, to be pinned before it is fetched.
REVISION = r"^([0-9a-f]{40}|main)$"
Id = Annotated[str, Field(pattern=ID)]
# YAML reads 1e-3 as text; it is a number all the same.
Number = Annotated[float, Strict(False)]
Share = Annotated[Number, Field(ge=0, le=1)]
Percent = Annotated[int, Field(ge=0, le=100)]
Positive = Annotated[int, Field(ge=1)]
Above0 = Annotated[Number, Field(gt=0)]
Category = Literal["reinit", "hyper-parameters", "architectures", "frameworks", "datasets"]

PATTERNS = {
    ID: "should hold only a-z, 0-9, '.', '_' and '-', and start with a letter or digit",
    SHA256: "should be 64 hexadecimal digits in lower case",
    COMMIT: "should be the 40 hexadecimal digits of a commit, in lower case",
    REVISION: "should be the 40 hexadecimal digits of a commit, in lower case",
}


class Section(BaseModel):
    """A part of the run file: no unknown keys, no silent conversions, no changes afterwards."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


def in_one_sentence(what: str) -> WrapValidator:
    """Say of a value of several types what it should be, where each type would say it by itself."""

    def checked(value: Any, check: Callable) -> Any:
        try:
            return check(value)
        except ValidationError:
            raise ValueError(what) from None

    return WrapValidator(checked)


def _distinct(items: list) -> list:
    for item in items:
        if items.count(item) > 1:
            raise ValueError(f"should hold each item once, not {item!r} twice")
    return items


Item = TypeVar("Item")
Distinct = Annotated[
    list[Item], AfterValidator(_distinct), Field(json_schema_extra={"uniqueItems": True})
]
