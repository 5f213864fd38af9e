"""Grammars, JSON schemas, patterns, tool calls and definitions of tools for fuzz_seeds.py."""

import json

# Which tokens a fuzzer's model says next.
CHOICES = bytes(range(3, 180, 7)) * 3

GRAMMARS = {
    "ambiguous": b'root ::= "a" root "b" | "a" root "c" | ""\n\0aaabcb',
    "class": b'root ::= [^a-z\\x00-\\x1f"\\\\]{2,5} | .\n\0\xc3\xa9A\xe6\xbc\xa2',
    "escapes": b'root ::= "\\x41\\u00e9\\U0001F600\\n\\"" # c\n  | "x"\n\0A\xc3\xa9',
    "huge": b'root ::= "a"{1,1000000000}',
    "json": b'root ::= v\nv ::= "[" (v ("," v)*)? "]" | "{" (s ":" v ("," s ":" v)*)? "}" | s | '
            b'"null"\ns ::= "\\"" [^"\\\\]* "\\""\n\0{"a":[null,"b"]}',
    "left": b'root ::= root "a" | ^+a',
    "nested": b'root ::= ((((("a")?)*)+){2})\n\0aaaa',
    "repeat": b'root ::= ("ab"{1,3} "c"?)* ("" | "x"){2,}\n\0ababcab',
    "sum": b'root ::= term ("+" term)*\nterm ::= [0-9]+ | "(" root ")"\n\x001+(23+4)',
}


def types(*names):
    return [{"type": name} for name in names]


def references(n, others):
    """$defs a0 to a<n>, each referring to the next."""
    return {f"a{i}": {"$ref": f"#/$defs/a{i + 1}", **others} for i in range(n)} | {f"a{n}": {}}


def many_schemas():
    """Five levels of ten alternatives each: 100,000 schemas."""
    defs = {f"a{i}": {"anyOf": [{"$ref": f"#/$defs/a{i + 1}", "allOf": [True]}] * 10}
            for i in range(5)}
    return {"$defs": {**defs, "a5": {}}, "$ref": "#/$defs/a0"}


INTEGER, NUMBER, STRING = {"type": "integer"}, {"type": "number"}, {"type": "string"}
SCHEMAS = {
    "any": {}, "false": False, "number_for_schema": {"items": 3}, "unknown": {"if": {}},
    "not": {"not": {}},
    "person": {"type": "object", "properties": {
        "name": {"type": "string", "minLength": 1, "maxLength": 9},
        "age": {"type": "integer", "minimum": 0, "maximum": 150}}, "required": ["name"],
        "additionalProperties": False},
    # Types and values.
    "types": {"type": ["string", "null", "string"]}, "type_unknown": {"type": "text"},
    "type_number": {"type": 1},
    "values": {"enum": [None, True, False, -1, 2**64 - 1, 1.5, "a\n\u00e9\"\\\u0001\b\f\r\t",
                        [1, 2], {"a": 1, "b": []}]},
    "values_typed": {"type": ["integer", "boolean"], "enum": [1.0, True, "a"], "title": "t"},
    "values_of_each": {"type": ["object", "array", "number", "null", "string"],
                       "enum": [{}, [], 1.5, None, True]},
    "values_text": {"enum": "a"}, "values_none": {"type": "null", "enum": [1]},
    "values_and_more": {"enum": ["a"], "minLength": 1},
    "const_listed": {"const": 1, "enum": [1, 2]}, "const_not_listed": {"const": 3, "enum": [1]},
    # Numbers.
    "number": {"type": "number", "minimum": -2.5, "exclusiveMaximum": 10},
    "number_open": {"type": "number", "exclusiveMinimum": -3, "exclusiveMaximum": 0},
    "number_negative": {"type": "number", "minimum": -12, "maximum": -4},
    "number_narrow": {"type": "number", "exclusiveMinimum": 0, "maximum": 1},
    "number_twice": {"type": "number", "minimum": 1, "exclusiveMinimum": 1, "maximum": 9,
                     "exclusiveMaximum": 8},
    "number_one": {"type": "number", "minimum": 5, "maximum": 5},
    "number_none": {"type": "number", "minimum": 5, "exclusiveMaximum": 5},
    "number_text": {"minimum": "1"}, "number_huge": {"maximum": -1e16},
    "integers": {"anyOf": [{"type": "integer", "minimum": low, "maximum": high} for low, high in (
        (-120, -7), (-5, 1234), (0, 0), (10, 99), (17, 23), (100, 4321), (0, 12345))]},
    "integer_open": {"type": "integer", "exclusiveMinimum": 1, "exclusiveMaximum": 1999},
    "step_one": {"type": "integer", "multipleOf": 1}, "step_two": {"multipleOf": 2},
    # Texts.
    "format": {"anyOf": [{"format": "date-time"}, {"type": "string", "format": "email"},
                         {"format": "uuid"}]},
    "formats": {"oneOf": [{"format": f} for f in ("date", "time", "ipv4", "hostname", "uri")]},
    "format_unknown": {"format": "color"}, "format_number": {"format": 1},
    "format_sized": {"format": "date", "maxLength": 3},
    "length_most": {"maxLength": 3}, "length_none": {"minLength": 3, "maxLength": 2},
    "length_wrong": {"minLength": -1}, "length_half": {"minLength": 1.5},
    "length_huge": {"minLength": 1000000}, "length_double": {"minLength": 2.0},
    "pattern": {"type": "string", "pattern": "^(?:a|[b-d\\]]{2})+\\d\\s?$"},
    "pattern_number": {"pattern": 1}, "pattern_wrong": {"pattern": "("},
    # Lists.
    "array": {"prefixItems": [{"type": "integer", "exclusiveMinimum": -3}, {"const": "c"}],
              "items": {"type": "boolean"}, "minItems": 1, "maxItems": 4},
    "array_prefix": {"prefixItems": types("null", "null", "boolean"), "minItems": 2},
    "array_closed": {"prefixItems": [True, True], "items": False, "maxItems": 1},
    "array_empty": {"items": INTEGER, "maxItems": 0},
    "array_no_size": {"items": {}, "minItems": 3, "maxItems": 2},
    "array_unique": {"uniqueItems": True}, "array_may_repeat": {"uniqueItems": False},
    "array_prefix_text": {"prefixItems": "a"}, "array_prefix_wrong": {"prefixItems": [False]},
    "array_unevaluated": {"prefixItems": [INTEGER], "unevaluatedItems": False},
    "array_unevaluated_alone": {"unevaluatedItems": False},
    # Objects.
    "names": {"properties": {"a": {"type": "null"}, "ab": {"type": "null"}},
              "additionalProperties": INTEGER},
    "names_escaped": {"properties": {"": True, "a\"": True, "\u0001": True, "\u00e9": False},
                      "required": ["x", "a\""], "additionalProperties": {"type": "null"}},
    "object": {"type": "object"}, "object_closed": {"additionalProperties": False},
    "object_least": {"properties": {"a": {}}, "required": ["a"], "minProperties": 1},
    "object_too_many": {"properties": {"a": {}}, "minProperties": 1},
    "object_unevaluated": {"properties": {"a": {}}, "unevaluatedProperties": True},
    "object_unevaluated_wrong": {"unevaluatedProperties": {}},
    "required_text": {"required": "a"}, "required_numbers": {"required": [1]},
    "required_closed": {"required": ["a"], "additionalProperties": False},
    "properties_list": {"properties": []}, "property_false": {"properties": {"a": False},
                                                              "required": ["a"]},
    # References.
    "recursive": {"$defs": {"n": {"type": "object", "properties": {
        "v": {"type": "number"}, "k": {"type": "array", "items": {"$ref": "#/$defs/n"}}}}},
        "$ref": "#/$defs/n"},
    "itself": {"anyOf": [INTEGER, {"type": "array", "items": {"$ref": "#"}}]},
    "reference_escaped": {"$defs": {"a/b~": {"type": "null"}}, "$ref": "#/$defs/a~1b~0"},
    "reference_item": {"prefixItems": [{"type": "null"}, {"$ref": "#/prefixItems/0"},
                                       {"$ref": "#/prefixItems/x"}]},
    "reference_through_text": {"title": "t", "$ref": "#/title/x"},
    "reference_number": {"$ref": 1}, "reference_file": {"$ref": "other.json#/a"},
    "reference_anchor": {"$ref": "#a"}, "reference_gone": {"$ref": "#/$defs/a", "minimum": 1},
    "reference_beside": {"$defs": {"a": {"maxLength": 3}}, "$ref": "#/$defs/a", "minLength": 1},
    "reference_chain": {"$defs": references(70, {}), "$ref": "#/$defs/a0"},
    "reference_merges": {"$defs": references(70, {"minLength": 1}), "$ref": "#/$defs/a0"},
    "many": many_schemas(),
    # Choices.
    "choice_beside": {"type": "object", "properties": {"k": STRING}, "required": ["k"], "oneOf": [
        {"properties": {"k": {"const": "x"}}},
        {"properties": {"k": {"const": "y"}, "n": INTEGER}, "required": ["n"]}]},
    "choice_text": {"anyOf": "a"}, "choice_none": {"oneOf": []},
    # allOf.
    "merge": {"allOf": [{"properties": {"a": {"type": ["integer", "null"]}}}, {
        "required": ["a"], "additionalProperties": {"enum": ["x", 1, None]}}]},
    "merge_text": {"allOf": "a"}, "merge_false": {"allOf": [False]},
    "merge_number": {"allOf": [True, 1]},
    "merge_types": {"allOf": [{"type": ["integer", "string"], "title": "a"},
                              {"type": "number", "title": "b"}]},
    "merge_no_type": {"allOf": types("string", "null")},
    "merge_values": {"allOf": [{"enum": [1, 2, 3]}, {"enum": [3, 2]}, {"type": "integer"}]},
    "merge_bounds": {"type": "number", "minimum": 0, "maximum": 9, "allOf": [
        {"minimum": 2, "maximum": 7}, {"minimum": 1, "maximum": 8}]},
    "merge_sizes": {"minItems": 1, "maxItems": 5, "allOf": [{"minItems": 2, "maxItems": 3}],
                    "items": INTEGER},
    "merge_members": {"allOf": [
        {"properties": {"a": INTEGER}, "required": ["a"]},
        {"properties": {"a": {"maximum": 5}, "b": {}}, "required": ["b"]}]},
    "merge_items": {"allOf": [{"items": INTEGER}, {"items": {"minimum": 3}}]},
    "merge_others": {"allOf": [{"additionalProperties": INTEGER},
                               {"additionalProperties": {"maximum": 3}}]},
    "merge_nested": {"allOf": [{"allOf": [{"minLength": 1}, STRING]}, {"allOf": [
        {"maxLength": 3}, {"minLength": 2}]}]},
    "merge_choices": {"allOf": [{"anyOf": types("integer", "null")}, {"anyOf": types(
        "integer", "string")}, {"anyOf": types("integer", "boolean")}]},
    "merge_references": {"$defs": {"a": {"minimum": 1}, "b": {"maximum": 5}}, "allOf": [
        {"$ref": "#/$defs/a"}, {"$ref": "#/$defs/b"}, INTEGER]},
    "merge_formats": {"allOf": [{"format": "date"}, {"format": "uuid"}]},
    "merge_closed": {"allOf": [{"additionalProperties": False, "properties": {"a": {}}},
                               {"properties": {"a": {}}}]},
    "merge_open": {"allOf": [{"properties": {"a": {}}}, {"additionalProperties": True}]},
    "merge_closed_both": {"allOf": [
        {"properties": {"a": {}}, "additionalProperties": INTEGER},
        {"properties": {"b": {}}, "additionalProperties": INTEGER}]},
}

PATTERNS = {
    "sets": r"[\d\w_-][^\s\W]\D\S[\t\n\r\v\f]", "any": r"^.+$|^\x41\u00e9\.\/$",
    "repeat": "a*b+c?d{2}e{2,}f{2,3}g*?h{1}?", "group": "^(a|(?:bc)*|)$|x|", "wide": "[^a-z]",
    "surrogates": r"[\ud7ff-\ue000]", "quoted": r'^["\\]$',
    "long": "a" * 4097, "deep": "(" * 65, "close": "a)", "start_inside": "a^b",
    "end_inside": "a$b", "end_in_group": "(a$)", "look": "(?=a)", "open": "(a",
    "nothing": "*a", "twice": "a**", "backwards": "a{3,2}", "brace": "a{2", "word": "a{x}",
    "minus": "a{-1}", "most": "a{2,99999999999}", "class_open": "[a", "class_set": r"[a-\d]",
    "class_backwards": "[b-a]", "class_empty": "[]", "class_all": r"[\s\S]",
    "class_none": r"[^\s\S]", "class_escape": r"[\q]", "escape": r"\q", "escape_end": "\\",
    "hex": r"\x4", "hex_word": r"\xzz",
    "surrogate": r"\ud800", "bytes": b"\xff",
}

MARK = {name: f"<\uff5ctool\u2581{name.replace('_', chr(0x2581))}\uff5c>"
        for name in ("calls_begin", "calls_end", "call_begin", "call_end", "sep")}


def r1(*calls, ends=True):
    inside = "\n".join(MARK["call_begin"] + call + MARK["call_end"] for call in calls)
    return MARK["calls_begin"] + inside + (MARK["calls_end"] if ends else "")


def r1_call(name="f", arguments='```json\n{"a": 1}\n```', kind="function"):
    return f"{kind}{MARK['sep']}{name}\n{arguments}"


def hermes(call):
    return f"<tool_call>\n{call}\n</tool_call>"


CALLS = {
    "r1": r1(r1_call(), r1_call("g", "```json\n{}\n```")),
    "r1_plain": "Look. " + r1(r1_call("f", '{"a": [1]}')) + " Done.",
    "r1_fence": r1(r1_call("f", '```\n{}\n```')), "r1_fence_open": r1(r1_call("f", '```json\n{}')),
    "r1_kind": r1(r1_call(kind="class")), "r1_no_mark": r1("function f\n{}"),
    "r1_one_line": r1(f"function{MARK['sep']}f"), "r1_name": r1(r1_call("f g")),
    "r1_no_name": r1(r1_call("")), "r1_list": r1(r1_call("f", "[1]")),
    "r1_bad_second": r1(r1_call(), r1_call("g", "{")), "r1_empty": r1(),
    "r1_between": r1(r1_call()).replace(MARK["calls_end"], " and so on"),
    "r1_text": MARK["calls_begin"] + "no call", "r1_unended": r1(r1_call(), ends=False),
    "r1_cut": (MARK["calls_begin"] + MARK["call_begin"] + r1_call()),
    "r1_cut_mark": "text " + MARK["calls_begin"][:-3],
    "r1_cut_call": MARK["calls_begin"] + MARK["call_begin"] + "function",
    "hermes": 'ok <tool_call>\n{"name": "f", "arguments": {"a": [1]}}\n</tool_call> <tool_call>',
    "hermes_text": hermes('{"name": "f", "arguments": "{\\"a\\": 1}"}'),
    "hermes_none": hermes('{"name": "f"}'), "hermes_other": hermes('{"name": "f", "x": {}}'),
    "hermes_more": hermes('{"name": "f", "arguments": {}, "id": 1}'),
    "hermes_no_name": hermes('{"arguments": {}}'), "hermes_number": hermes('{"name": 1}'),
    "hermes_list": hermes("[]") + hermes('{"name": "f"}'),
    "hermes_cut": '<tool_call>{"name": "f", "arguments": {}}', "hermes_cut_mark": "text <tool_",
    "llama": '<|python_tag|>{"name": "f", "parameters": {"a": null}}',
    "llama_text": "  {not json", "llama_mark": "<|python", "llama_other": "<|pythonic|>",
}


def function(name="f", **others):
    return {"type": "function", "function": {"name": name, **others}}


TOOLS = {
    "two": [function(description="d", parameters={"type": "object"}),
            function("g", parameters={"type": "object", "properties": {"a": INTEGER}})],
    "one": [function(parameters={"properties": {"a": STRING}, "required": ["a"]})],
    "empty": [], "object": {}, "type": [function(), {"type": "code"}], "number": [1],
    "no_function": [{"type": "function"}], "no_name": [{"type": "function", "function": {}}],
    "name": [function("f g")], "name_number": [{"type": "function", "function": {"name": 1}}],
    "schema": [function(parameters={"not": {}})], "parameters": [function(parameters=True)],
    "deep": "[" * 70,
}


def encoded(value):
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        return value.encode("utf-8", "surrogatepass")
    return json.dumps(value, ensure_ascii=False).encode()


def json_schema_seeds():
    seeds = {}
    for name, schema in SCHEMAS.items():
        seeds[name] = json.dumps(schema, ensure_ascii=False,
                                 separators=(",", ":")).encode() + b"\0" + CHOICES
    seeds |= {"regex_" + name: encoded(text) + b"\0" + CHOICES for name, text in PATTERNS.items()}
    seeds |= {name: encoded(text) for name, text in CALLS.items()}
    seeds |= {"tools_" + name: encoded(tools) for name, tools in TOOLS.items()}
    return seeds
