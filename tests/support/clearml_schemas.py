"""Holds requests and answers, one JSON object a line of standard input, to the descriptions in ClearML's SDK.

Prints a line for each that is not as described, the endpoints that the SDK does not describe, and how many it has held.
"""

import importlib
import json
import pkgutil
import re
import sys

import clearml.backend_api.services as services
import jsonschema
from clearml.backend_api.session.response import ResponseMeta

VERSIONS = sorted((name for _, name, _ in pkgutil.iter_modules(services.__path__)), key=lambda name: int(name[3:]))

# The SDK describes images here, and reads the scalars as this API answers them: by metric (Task.get_reported_scalars).
NAMED_BY_USERS = {"events.scalar_metrics_iter_histogram"}


def whole(schema):
    """Returns a schema that allows anything where it refers to a definition that the SDK left out."""
    missing = dict.fromkeys(re.findall(r'"#/definitions/([^"]+)"', json.dumps(schema)), {})
    return {**schema, "definitions": {**missing, **schema.get("definitions", {})}}


def describe(endpoint):
    """Returns the newest classes for an endpoint: of requests and of answers."""
    service, action = endpoint.split(".")
    for version in reversed(VERSIONS):
        try:
            module = importlib.import_module(f"{services.__name__}.{version}.{service}")
        except ImportError:
            continue
        for name, found in vars(module).items():
            if name.endswith("Request") and getattr(found, "_action", None) == action:
                return found._schema, getattr(module, name.removesuffix("Request") + "Response")._schema
    return None


def undescribed(schema, value, known, path=""):
    """Yields the keys of a value that its schema does not have, at any depth. Lists of what a schema leaves open may have any."""
    if "$ref" in schema:
        schema = known.get(schema["$ref"].rsplit("/", 1)[-1], {})
    if isinstance(value, list):
        for item in value:
            yield from undescribed(schema.get("items", {}), item, known, path)
    elif isinstance(value, dict):
        properties, others = schema.get("properties", {}), schema.get("additionalProperties", not schema.get("properties"))
        for key, inner in value.items():
            inside = properties.get(key, others)
            if inside is False:
                yield f"{path}/{key}"
            else:
                yield from undescribed(inside if isinstance(inside, dict) else {}, inner, known, f"{path}/{key}")


held, unknown = 0, set()
for line in sys.stdin:
    call = json.loads(line)
    meta = call["envelope"]["meta"]
    ResponseMeta(**meta).validate()
    found = describe(call["endpoint"])
    if found is None:
        unknown.add(call["endpoint"])
        continue
    held_up = {"request": call["body"] or {}} | ({"answer": call["envelope"]["data"]} if meta["result_code"] == 200 else {})
    for (what, value), schema in zip(held_up.items(), map(whole, found)):
        held += 1
        for error in jsonschema.Draft7Validator(schema).iter_errors(value):
            print(f"{call['endpoint']}: {what}: {'/'.join(map(str, error.absolute_path))}: {error.message[:200]}")
        keys = set(undescribed(schema, value, schema["definitions"]))
        for key in sorted(keys if what == "request" or call["endpoint"] not in NAMED_BY_USERS else ()):
            print(f"{call['endpoint']}: {what}: {key}: not described")
print("not described:", ", ".join(sorted(unknown)))
print("held:", held)
