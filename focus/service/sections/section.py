"""A section of the configuration: a table of the file."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, ValidationInfo, field_validator

from focus.service.values import typed


class Section(BaseModel):
    """A table of the file; its docstring is the comment above it in the example."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    @field_validator("*", mode="before")
    @classmethod
    def _typed(cls, value: object, info: ValidationInfo) -> object:
        return typed(value, cls.model_fields[info.field_name or ""].annotation)
