"""JSON Schema of everything that is read and written, from the types that read and write it.

msgspec has a generator of its own. It cannot write the default of a field whose type is ours, and says
of a time only that it is a string.
"""

from collections.abc import Iterable
from enum import Enum
from functools import singledispatchmethod
from typing import Any, get_args, get_origin

import msgspec
from msgspec import inspect

from kernel.structs import encode

Json = dict[str, Any]

_BOUNDS = {
    "ge": "minimum",
    "gt": "exclusiveMinimum",
    "le": "maximum",
    "lt": "exclusiveMaximum",
    "multiple_of": "multipleOf",
    "pattern": "pattern",
}
_LENGTHS = {
    "Str": ("minLength", "maxLength"),
    "List": ("minItems", "maxItems"),
    "Dict": ("minProperties", "maxProperties"),
}


class Schemas:
    """`of` describes a type; each struct it meets on the way becomes a component."""

    def __init__(self) -> None:
        self.components: dict[str, Json] = {}
        self._names: dict[Any, str] = {}

    def of(self, kind: Any) -> Json:
        return self._of(inspect.type_info(kind))

    @singledispatchmethod
    def _of(self, info: inspect.Type) -> Json:
        raise NotImplementedError(f"{info} has no schema yet")

    @_of.register
    def _(self, info: inspect.Metadata) -> Json:
        return {**self._of(info.type), **(info.extra_json_schema or {})}

    @_of.register
    def _(self, _info: inspect.AnyType) -> Json:
        return {}

    @_of.register
    def _(self, _info: inspect.NoneType) -> Json:
        return {"type": "null"}

    @_of.register
    def _(self, _info: inspect.BoolType) -> Json:
        return {"type": "boolean"}

    @_of.register
    def _(self, info: inspect.IntType) -> Json:
        return {"type": "integer", **_bounds(info)}

    @_of.register
    def _(self, info: inspect.FloatType) -> Json:
        return {"type": "number", **_bounds(info)}

    @_of.register
    def _(self, info: inspect.StrType) -> Json:
        return {"type": "string", **_bounds(info), **_length(info, "Str")}

    @_of.register
    def _(self, _info: inspect.DateTimeType) -> Json:
        return {"type": "string", "format": "date-time"}

    @_of.register
    def _(self, _info: inspect.DateType) -> Json:
        return {"type": "string", "format": "date"}

    @_of.register
    def _(self, info: inspect.CustomType) -> Json:
        kind: Any = info.cls
        return {} if kind is object else dict(kind.schema)

    @_of.register
    def _(self, info: inspect.EnumType) -> Json:
        return _choice(member.value for member in info.cls)

    @_of.register
    def _(self, info: inspect.LiteralType) -> Json:
        return _choice(info.values)

    @_of.register(inspect.ListType)
    @_of.register(inspect.VarTupleType)
    @_of.register(inspect.SetType)
    @_of.register(inspect.FrozenSetType)
    def _(self, info: Any) -> Json:
        return {"type": "array", "items": self._of(info.item_type), **_length(info, "List")}

    @_of.register
    def _(self, info: inspect.DictType) -> Json:
        values = self._of(info.value_type)
        names = self._of(info.key_type)
        schema: Json = {"type": "object", "additionalProperties": values, **_length(info, "Dict")}
        return schema if names == {"type": "string"} else {**schema, "propertyNames": names}

    @_of.register
    def _(self, info: inspect.UnionType) -> Json:
        return {"anyOf": [self._of(choice) for choice in info.types]}

    @_of.register
    def _(self, info: inspect.StructType) -> Json:
        name = self._name(info.cls)
        if name not in self.components:
            self.components[name] = {}  # a struct may hold itself
            self.components[name] = self._struct(info, name)
        return {"$ref": f"#/components/schemas/{name}"}

    def _name(self, kind: Any) -> str:
        """Two structs of one name: the second is called after its folder, CreditNotesSettlement."""
        if kind not in self._names:
            name = _plain_name(kind)
            folder = kind.__module__.split(".")[-2].title().replace("_", "")
            self._names[kind] = folder + name if name in self._names.values() else name
        return self._names[kind]

    def _struct(self, info: inspect.StructType, name: str) -> Json:
        schema: Json = {
            "title": name,
            "type": "object",
            "properties": {field.encode_name: self._field(field) for field in info.fields},
            "required": [field.encode_name for field in info.fields if field.required],
        }
        if info.tag_field is not None:
            schema["properties"] = {info.tag_field: {"const": info.tag}, **schema["properties"]}
            schema["required"] = [info.tag_field, *schema["required"]]
        if info.forbid_unknown_fields:
            schema["additionalProperties"] = False
        own_words = getattr(get_origin(info.cls) or info.cls, "__doc__", None)
        return {**schema, "description": own_words} if own_words else schema

    def _field(self, field: inspect.Field) -> Json:
        schema = self._of(field.type)
        if field.default is not msgspec.NODEFAULT:
            return {**schema, "default": msgspec.json.decode(encode(field.default))}
        if field.default_factory is not msgspec.NODEFAULT:
            return {**schema, "default": msgspec.json.decode(encode(field.default_factory()))}
        return schema


def _plain_name(kind: Any) -> str:
    """The page of a list of invoices is an InvoicePage."""
    origin = get_origin(kind)
    return "".join(map(_plain_name, get_args(kind))) + origin.__name__ if origin else str(kind.__name__)


def _choice(values: Iterable[Any]) -> Json:
    plain = [value.value if isinstance(value, Enum) else value for value in values]
    if all(isinstance(value, str) for value in plain):
        return {"type": "string", "enum": sorted(plain)}
    return {"enum": plain}


def _bounds(info: Any) -> Json:
    found = {name: getattr(info, bound, None) for bound, name in _BOUNDS.items()}
    return {name: value for name, value in found.items() if value is not None}


def _length(info: Any, of: str) -> Json:
    found = zip(_LENGTHS[of], (info.min_length, info.max_length), strict=True)
    return {name: value for name, value in found if value is not None}
