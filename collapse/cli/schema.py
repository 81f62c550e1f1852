"""`collapse schema COMMAND`: the JSON Schema of what a command prints with --json."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import numpy as np

from collapse.answers import SCHEMA
from collapse.auditing import Audit
from collapse.comparison import COSTS
from collapse.diagnosis import Diagnosis
from collapse.forecasting import Forecast
from collapse.planning import Policies
from collapse.risk import Risk
from collapse.sweeping.answer import COLUMNS

RISK = (
    *("model", "n", "gate", "replications", "seed", "versions"),
    *("ratio", "risk", "stderr", "risk_stderr", "failed", "measures"),
)
"""What --json tells of a risk beside its workflow and its generations."""
PROMISE = ("ratio", "generations", "model", "n", "cost", "broken")
"""What it tells of a promise beside its policies."""
DIALECT = "https://json-schema.org/draft/2020-12/schema"
NUMBER = {"anyOf": [{"type": ["number", "null"]}, {"enum": ["inf", "-inf"]}]}
FRACTION = {"type": "string", "pattern": r"^-?\d+(/\d+)?$"}
LIST = {"type": "array", "items": {"anyOf": [NUMBER, FRACTION, {"$ref": "#/$defs/list"}]}}
"""Of numbers, or of such lists."""
PLAIN: dict[Any, dict[str, Any]] = {
    Any: {},
    object: {},
    int: {"type": "integer"},
    float: NUMBER,
    bool: {"type": "boolean"},
    str: {"type": "string"},
    NoneType: {"type": "null"},
    np.ndarray: {"$ref": "#/$defs/list"},
}


def of_type(kind: Any) -> dict[str, Any]:
    """Return the schema of a type: of a dataclass its fields, those without a default required."""
    origin, inside = get_origin(kind) or kind, get_args(kind)
    if origin in PLAIN:
        return PLAIN[origin]
    if origin is Literal:
        return {"enum": list(inside)}
    if origin in (Union, UnionType):
        return {"anyOf": [of_type(part) for part in inside]}
    if origin in (tuple, list):
        return {"type": "array", "items": of_type(inside[0])}
    if origin in (dict, Mapping):
        return {"type": "object", "additionalProperties": of_type(inside[1])}
    if is_dataclass(kind) and isinstance(kind, type):
        hints = get_type_hints(kind)
        told = {part.name: of_type(hints[part.name]) for part in fields(kind)}
        always = [
            part.name for part in fields(kind) if part.default is part.default_factory is MISSING
        ]
        return {"type": "object", "properties": told, "required": always}
    return {"type": "object"}


def _object(properties: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    return {"type": "object", "properties": dict(properties), "required": list(properties)}


def of_command(name: str) -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of what a command prints with --json."""
    column = PLAIN[np.ndarray]
    names, numbers = of_type(list[str]), of_type(list[int])
    risk, promise = get_type_hints(Risk), get_type_hints(Policies)
    if name in ("derive", "simulate"):
        of_risk = {key: of_type(risk[key]) for key in RISK}
        schema = _object({"workflow": PLAIN[str], "generation": numbers} | of_risk)
    elif name == "compare":
        costs = dict.fromkeys(("ratio", *COSTS), column)
        schema = _object({"generation": PLAIN[int], "workflows": names} | costs)
    elif name == "plan-for":
        costs = dict.fromkeys(("largest_ratio", *COSTS, "its_largest_ratio"), column)
        schema = _object(
            {key: of_type(promise[key]) for key in PROMISE}
            | {"at": PLAIN[int], "workflow": names, "next_cheaper": names}
            | costs
        )
    elif name == "sweep":
        texts = {"workflow": names, "model": of_type(list[str | None])}
        schema = _object(
            {key: texts.get(key, column) for key in COLUMNS} | {"failures": of_type(dict[str, str])}
        )
    elif name == "cache":
        entry = _object({"name": PLAIN[str], "bytes": PLAIN[int], "used": PLAIN[float]})
        schema = _object({"folder": PLAIN[str]})
        schema["anyOf"] = [
            _object({"entries": {"type": "array", "items": entry}}),
            _object({"removed": PLAIN[int], "bytes": PLAIN[int]}),
        ]
    else:
        schema = of_type({"diagnose": Diagnosis, "forecast": Forecast, "audit": Audit}[name])
    told = {"collapse": {"const": name}, "schema": {"const": SCHEMA}}
    schema["properties"] = told | schema["properties"]
    schema["required"] = [*told, *schema["required"]]
    title = f"What `collapse {name} --json` prints"
    return {"$schema": DIALECT, "title": title, **schema, "$defs": {"list": LIST}}


DESCRIBED = (
    *("derive", "simulate", "sweep", "cache", "diagnose", "compare", "plan-for"),
    *("forecast", "audit"),
)
"""Commands that answer in JSON."""
