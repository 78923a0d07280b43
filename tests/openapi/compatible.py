"""Whether clients made of one OpenAPI document can go on with a newer one.

    compatible.py OLD NEW     1 if something breaks them and the version of NEW does not say so
    compatible.py --prove NEW 1 unless mistakes planted in NEW are found, and harmless changes are not

Written here because the tools that do this well (oasdiff, openapi-changes) are programs in Go that come from
no package registry, and those of npm, PyPI and crates.io either take an added field of an answer for a break
or are not kept. What it cannot judge (`oneOf`, `anyOf`, `not`) it takes for a break if it differs at all.

A version says that clients may break by a higher major number, or by a higher minor one while the major one
is 0.
"""

import copy
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

Json = dict[str, Any]
METHODS = ("get", "put", "post", "delete", "patch", "head", "options", "trace")
# What may only get wider where clients send, by the direction in which it does.
LOWER_BOUNDS = ("minLength", "minItems", "minimum", "minProperties")
UPPER_BOUNDS = ("maxLength", "maxItems", "maximum", "maxProperties")


class Comparison:
    def __init__(self, old: Json, new: Json) -> None:
        self.old = old
        self.new = new
        self.seen: set[tuple[str, str, bool]] = set()

    def breaks(self) -> Iterator[str]:
        for path, operations in self.old["paths"].items():
            for method in METHODS:
                if method in operations:
                    place = f"{method.upper()} {path}"
                    new = self.new["paths"].get(path, {}).get(method)
                    if new is None:
                        yield f"{place} is gone"
                    else:
                        yield from self.operation(operations[method], new, place)

    def operation(self, old: Json, new: Json, place: str) -> Iterator[str]:
        if old["operationId"] != new["operationId"]:
            yield f"{place}: its id, {old['operationId']}, is now {new['operationId']}"
        if new.get("security", []) != old.get("security", []):
            yield f"{place}: who may call it is said otherwise"
        yield from self.parameters(old, new, place)
        yield from self.body(old.get("requestBody"), new.get("requestBody"), f"{place}: body")
        for status, answer in old["responses"].items():
            if status in new["responses"]:
                yield from self.answer(answer, new["responses"][status], f"{place}: {status}")
            elif status[0] in "23":
                yield f"{place}: {status} is answered no more"
        for status in new["responses"].keys() - old["responses"].keys():
            if status[0] in "23":
                yield f"{place}: {status} is a new answer to what was asked before"

    def parameters(self, old: Json, new: Json, place: str) -> Iterator[str]:
        def named(operation: Json) -> dict[tuple[str, str], Json]:
            return {(it["in"], it["name"].lower()): it for it in operation.get("parameters", [])}

        before, now = named(old), named(new)
        for key, parameter in before.items():
            at = f"{place}: parameter {parameter['name']}"
            if key not in now:
                yield f"{at} is gone"
                continue
            if now[key].get("required") and not parameter.get("required"):
                yield f"{at} is now required"
            yield from self.schema(parameter["schema"], now[key]["schema"], at, sent=True)
        for key in now.keys() - before.keys():
            if now[key].get("required"):
                yield f"{place}: parameter {now[key]['name']} is new and required"

    def body(self, old: Json | None, new: Json | None, at: str) -> Iterator[str]:
        if new is not None and new.get("required") and not (old or {}).get("required"):
            yield f"{at} is now required"
        if old is not None:
            yield from self.content(old, new or {}, at, sent=True)

    def answer(self, old: Json, new: Json, at: str) -> Iterator[str]:
        yield from self.content(old, new, at, sent=False)
        for name, header in old.get("headers", {}).items():
            if header.get("required") and not new.get("headers", {}).get(name, {}).get("required"):
                yield f"{at}: header {name} can no longer be relied upon"

    def content(self, old: Json, new: Json, at: str, *, sent: bool) -> Iterator[str]:
        for kind, media in old.get("content", {}).items():
            if kind not in new.get("content", {}):
                yield f"{at}: no longer as {kind}"
            elif "schema" in media:
                yield from self.schema(media["schema"], new["content"][kind]["schema"], at, sent=sent)

    def schema(self, old: Json, new: Json, at: str, *, sent: bool) -> Iterator[str]:
        names = (old.get("$ref"), new.get("$ref"))
        if all(names):
            # Each pair once for each direction: schemas may hold themselves.
            key = (str(names[0]), str(names[1]), sent)
            if key in self.seen:
                return
            self.seen.add(key)
        old, new = flat(old, self.old), flat(new, self.new)
        for word in ("type", "format", "oneOf", "anyOf", "not"):
            if old.get(word) != new.get(word):
                yield f"{at}: {word} was {old.get(word)}, is {new.get(word)}"
        # Whoever reads must know all that may come; whoever sends may go on to send what was taken.
        wide, narrow = (new, old) if sent else (old, new)
        if narrow.get("nullable") and not wide.get("nullable"):
            yield f"{at}: null is " + ("taken no more" if sent else "new")
        if "enum" in wide and not set(narrow.get("enum", [None])) <= set(wide["enum"]):
            yield f"{at}: other words, {narrow.get('enum')} against {wide['enum']}"
        if sent:
            yield from bounds(old, new, at)
        yield from self.fields(old, new, at, sent=sent)
        if "items" in old and "items" in new:
            yield from self.schema(old["items"], new["items"], f"{at}[]", sent=sent)

    def fields(self, old: Json, new: Json, at: str, *, sent: bool) -> Iterator[str]:
        before, now = old.get("properties", {}), new.get("properties", {})
        required = set(old.get("required", [])), set(new.get("required", []))
        closed = [it.get("additionalProperties") is False for it in (old, new)]
        if sent:
            for field in sorted(required[1] - required[0]):
                yield f"{at}/{field} is now required"
            if closed[1] and not closed[0]:
                yield f"{at}: other fields are taken no more"
        else:
            for field in sorted(required[0] - required[1]):
                yield f"{at}/{field} can no longer be relied upon"
            for field in sorted(now.keys() - before.keys() if closed[0] else []):
                yield f"{at}/{field} is new where no other field was to come"
        for field, schema in before.items():
            if field in now:
                yield from self.schema(schema, now[field], f"{at}/{field}", sent=sent)
            else:
                yield f"{at}/{field} is gone"


def flat(schema: Json, document: Json) -> Json:
    """The schema with what it refers to and is made of."""
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[1]
        return flat(document["components"]["schemas"][name], document)
    whole: Json = {word: said for word, said in schema.items() if word != "allOf"}
    for part in schema.get("allOf", []):
        for word, said in flat(part, document).items():
            if word == "properties":
                for name, field in said.items():
                    fields = whole.setdefault("properties", {})
                    whole["properties"] = {**fields, name: both(fields.get(name), field)}
            elif word == "required":
                whole["required"] = [*whole.get("required", []), *said]
            else:
                whole.setdefault(word, said)
    return whole


def both(one: Json | None, other: Json) -> Json:
    """A field that two parts of a schema describe. The words of the narrower one stand."""
    return other if one is None else {"allOf": [other, one] if "enum" in other else [one, other]}


def bounds(old: Json, new: Json, at: str) -> Iterator[str]:
    for word in LOWER_BOUNDS:
        if new.get(word, 0) > old.get(word, 0):
            yield f"{at}: {word} is now {new[word]}"
    for word in UPPER_BOUNDS:
        if new.get(word, float("inf")) < old.get(word, float("inf")):
            yield f"{at}: {word} is now {new[word]}"
    if new.get("pattern") not in (None, old.get("pattern")):
        yield f"{at}: pattern is now {new['pattern']}"


def may_break(old: Json, new: Json) -> bool:
    before, now = ([int(part) for part in it["info"]["version"].split(".")[:2]] for it in (old, new))
    return now[0] > before[0] or (now[0] == 0 and now > before)


def prove(document: Json) -> list[str]:
    """What is not judged as it should be."""
    base = "/api/calendar-integration"
    schemas = "components/schemas"
    mistakes: dict[str, Callable[[Json], object]] = {
        "an operation is gone": lambda new: new["paths"][f"{base}/connections/{{id}}"].pop("delete"),
        "a parameter is required": lambda new: new["paths"][f"{base}/queue"]["get"]["parameters"][0].update(required=True),
        "a field of a body is required": lambda new: at(new, f"{schemas}/AppointmentReport/required").append("location"),
        "a field of a body is gone": lambda new: at(new, f"{schemas}/ConnectionSettings/properties").pop("calendar_id"),
        "a word is taken no more": lambda new: at(new, f"{schemas}/ReportedStatus/enum").pop(),
        "a body is bounded": lambda new: at(new, f"{schemas}/ClientReport/properties/name").update(maxLength=9),
        "a field of an answer is gone": lambda new: at(new, f"{schemas}/Connection/properties").pop("pending"),
        "a field of an answer is optional": lambda new: at(new, f"{schemas}/Connection/required").remove("pending"),
        "a field of an answer is a text": lambda new: at(new, f"{schemas}/Connection/properties/pending").update(type="string"),
        "a field of an answer may be null": lambda new: at(new, f"{schemas}/Connection/properties/pending").update(nullable=True),
        "an answer has a new word": lambda new: at(new, f"{schemas}/SyncState/enum").append("new"),
        "a problem has a new code": lambda new: code_of_not_found(new).append("internal"),
    }
    harmless: dict[str, Callable[[Json], object]] = {
        "nothing": lambda new: None,
        "a new operation": lambda new: new["paths"].update({"/new": new["paths"]["/health/live"]}),
        "a new field of a body": lambda new: at(new, f"{schemas}/ConnectionSettings/properties").update(new={}),
        "a new field of an answer": lambda new: at(new, f"{schemas}/Connection/properties").update(new={}),
        "a new word is taken": lambda new: at(new, f"{schemas}/ReportedStatus/enum").append("new"),
        "a code less": lambda new: code_of_not_found(new).clear(),
    }
    wrong = []
    for changes, is_break in ((mistakes, True), (harmless, False)):
        for what, make in changes.items():
            new = copy.deepcopy(document)
            make(new)
            found = list(Comparison(document, new).breaks())
            if bool(found) != is_break:
                wrong.append(f"{what}: {found}")
    versions = (("0.1.0", "0.1.9", False), ("0.1.9", "0.2.0", True), ("0.9.0", "1.0.0", True))
    for before, now, may in (*versions, ("1.2.0", "1.3.0", False), ("1.2.0", "2.0.0", True)):
        if may_break({"info": {"version": before}}, {"info": {"version": now}}) != may:
            wrong.append(f"from {before} to {now}")
    return wrong


def at(document: Json, place: str) -> Any:
    for name in place.split("/"):
        document = document[name]
    return document


def code_of_not_found(document: Json) -> Any:
    path = document["paths"]["/api/calendar-integration/appointments/{id}"]
    schema = path["get"]["responses"]["404"]["content"]["application/problem+json"]["schema"]
    return schema["allOf"][1]["properties"]["code"]["enum"]


def main(arguments: list[str]) -> int:
    new = json.loads(Path(arguments[1]).read_text())
    if arguments[0] == "--prove":
        wrong = prove(new)
        print(*wrong or ["planted mistakes are found"], sep="\n")
        return 1 if wrong else 0
    old = json.loads(Path(arguments[0]).read_text())
    found = list(Comparison(old, new).breaks())
    print(*found or ["nothing breaks a client"], sep="\n")
    if found and not may_break(old, new):
        versions = [it["info"]["version"] for it in (old, new)]
        print(f"Widen instead of changing, or raise the version: it went from {versions[0]} to {versions[1]}.")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
