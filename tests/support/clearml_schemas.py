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

VERSIONS = sorted((name for _, name, _ in pkgutil.iter_modules(services.__path__)), key=lambda name: int(name[3:]))


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


held, unknown = 0, set()
for line in sys.stdin:
    call = json.loads(line)
    found = describe(call["endpoint"])
    if found is None:
        unknown.add(call["endpoint"])
        continue
    for what, schema, value in zip(("request", "answer"), found, (call["body"], call["answer"])):
        held += 1
        for error in jsonschema.Draft7Validator(whole(schema)).iter_errors(value):
            print(f"{call['endpoint']}: {what}: {'/'.join(map(str, error.absolute_path))}: {error.message[:200]}")
    for key in sorted(call["body"].keys() - found[0].get("properties", {}).keys()):
        print(f"{call['endpoint']}: request: {key}: not described")
print("not described:", ", ".join(sorted(unknown)))
print("held:", held)
