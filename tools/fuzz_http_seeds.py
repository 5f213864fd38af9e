"""Requests for fuzz_seeds.py: of every API the fields that are right and each that is wrong, and
what is sent as it is."""

from fuzz_schema_seeds import TOOLS, encoded, function

ROUTES = ("chat", "completions", "responses", "messages", "count", "api_chat", "api_generate",
          "show", "copy", "delete", "pull", "tokenize", "detokenize", "control")


def request(route, body):
    """As fuzz/http_fuzz.cpp takes it: a route's number and a body."""
    return bytes([1, ROUTES.index(route)]) + encoded(body)


def raw(line, *headers, body="", key="often-often-often", host="localhost", first=0):
    """As it is sent."""
    lines = [line]
    if host is not None:
        lines.append("Host: " + host)
    if key is not None:
        lines.append("Authorization: Bearer " + key)
    return bytes([first]) + "\r\n".join([*lines, *headers, "", body]).encode("latin-1")


def user(content="x"):
    return {"role": "user", "content": content}


PARTS = [{"type": "text", "text": "x"}, {"text": "y"}]
ASKED = [{"role": "system", "content": "s"}, user(PARTS)]
CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
SAMPLING = {"max_tokens": 5, "temperature": 0.5, "top_p": 0.9, "top_k": 5.0, "min_p": 0.1,
            "presence_penalty": 1, "frequency_penalty": 1, "repetition_penalty": 1, "seed": -1,
            "stop": ["a"], "logit_bias": {"5": 1}}
ANTHROPIC = [user([PARTS[0], {"type": "tool_result", "tool_use_id": "t", "content": "z",
                              "is_error": True}]),
             {"role": "assistant", "content": [
                 {"type": "thinking", "thinking": "a", "signature": "b"},
                 {"type": "text", "text": "c"}, {"type": "text", "text": "d"},
                 {"type": "tool_use", "id": "t", "name": "f", "input": {}}]},
             {"role": "system", "content": "s"},
             user([{"type": "tool_result", "content": PARTS}]), user()]
OLLAMA = {"num_ctx": 5, "num_predict": 3, "temperature": 1, "seed": 1, "stop": ["a"],
          "repeat_last_n": 5, "repeat_penalty": 1.1, "top_k": 4, "mirostat": 0, "typical_p": 1}
SCHEMA_FORMAT = {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object"}}}

# Fields that are right.
GOOD = {
    "chat": ("chat", {
        "model": "m", "messages": [*ASKED, {"role": "assistant", "content": None,
                                            "tool_calls": [CALL]},
                                   {"role": "tool", "content": "y"},
                                   {"role": "assistant", "prefix": True,
                                    "reasoning_content": "so"}],
        "stream": True, "stream_options": {"include_usage": True}, "n": 2, **SAMPLING,
        "logprobs": True, "top_logprobs": 2,
        "tools": [function(description="d", parameters={"type": "object"})],
        "tool_choice": {"type": "function", "function": {"name": "f"}}}),
    "chat_format": ("chat", {"messages": ASKED, "response_format": SCHEMA_FORMAT}),
    "chat_grammar": ("chat", {"messages": ASKED, "grammar": 'root ::= "a"',
                              "modalities": ["text"], "store": False}),
    "chat_think": ("chat", {
        "messages": ASKED, "reasoning_effort": "low", "thinking_budget_tokens": 5,
        "thinking": {"type": "enabled", "budget_tokens": 3},
        "chat_template_kwargs": {"enable_thinking": False, "thinking": False},
        "early_stop": "either", "n_paths": 3, "paths_window": 2, "paths_stop": "window",
        "paths_weighted": True, "min_thinking_tokens": 1}),
    "chat_seed": ("chat", {"messages": ASKED, "seed": 2**64 - 1, "stop": "a", "top_k": -1,
                           "max_completion_tokens": 4, "parallel_tool_calls": False}),
    "chat_broken": ("chat", {"model": "broken", "messages": ASKED, "seed": 5.0,
                             "tools": [function()], "tool_choice": "required"}),
    "completion": ("completions", {"prompt": ["a"], "echo": True, "best_of": 1, "suffix": ""}),
    "completion_tokens": ("completions", {"prompt": [[1, 2], [3]], "logprobs": 1}),
    "completion_ids": ("completions", {"prompt": [1, 2], "response_format": SCHEMA_FORMAT}),
    "completion_text": ("completions", {"prompt": "a", **SAMPLING}),
    "responses": ("responses", {
        "input": [user(), {"type": "function_call", "name": "f", "call_id": "c",
                           "arguments": "{}"},
                  {"type": "function_call", "name": "g", "call_id": "d"},
                  {"type": "function_call_output", "call_id": "c", "output": "y"},
                  {"type": "reasoning"}, user([{"type": "input_text", "text": "z"}])],
        "instructions": "i", "tools": [{"type": "function", "name": "f", "parameters": {}}],
        "reasoning": {"effort": "low"}, "text": {"format": {"type": "text"}},
        "max_output_tokens": 3, "include": ["reasoning.encrypted_content"]}),
    "responses_text": ("responses", {"input": "x", "truncation": "disabled", "metadata": {},
                                     "text": {"format": {"type": "json_schema",
                                                         "schema": {"type": "object"}}}}),
    "messages": ("messages", {
        "messages": ANTHROPIC, "max_tokens": 5, "system": PARTS,
        "thinking": {"type": "enabled", "budget_tokens": 2},
        "tools": [{"name": "f", "input_schema": {"type": "object"}}],
        "tool_choice": {"type": "tool", "name": "f", "disable_parallel_tool_use": True},
        "stop_sequences": ["a"], "temperature": 1, "top_p": 0.5, "top_k": 3}),
    "messages_format": ("messages", {
        "messages": [user()], "max_tokens": 5, "thinking": {"type": "adaptive"}, "output_config": {
            "effort": "max", "format": {"type": "json_schema", "schema": {}}}}),
    "count": ("count", {"messages": ANTHROPIC, "system": "s"}),
    "ollama_chat": ("api_chat", {
        "model": "m", "messages": [user(), {"role": "assistant", "content": "", "tool_calls": [
            {"function": {"name": "f", "arguments": {}}}]}, {"role": "tool", "content": "y"}],
        "tools": [function(description="d", parameters={"type": "object"})], "options": OLLAMA,
        "keep_alive": "1h30m5s", "think": "high"}),
    "ollama_load": ("api_chat", {"model": "m", "messages": []}),
    "ollama_unload": ("api_generate", {"model": "m", "keep_alive": 0}),
    "ollama_generate": ("api_generate", {
        "model": "m", "prompt": "x", "system": "s", "raw": False, "format": {"type": "object"},
        "keep_alive": -1, "think": True}),
    "ollama_raw": ("api_generate", {"prompt": "x", "raw": True, "format": "json",
                                    "keep_alive": "-5ms", "think": False}),
    "show": ("show", {"name": "m"}), "copy": ("copy", {"source": "a", "destination": "b"}),
    "delete": ("delete", {"model": "broken"}), "pull": ("pull", {"model": "m", "stream": False}),
    "tokenize": ("tokenize", {"content": "x", "add_special": True, "parse_special": True}),
    "detokenize": ("detokenize", {"tokens": [1, 2]}),
    "control": ("control", {"id": "x", "action": "stop"}),
}


def chat(**fields):
    return ("chat", {"messages": ASKED, **fields})


def responses(**fields):
    return ("responses", {"input": "x", **fields})


def messages(*list_, **fields):
    return ("messages", {"messages": list(list_) or [user()], "max_tokens": 1, **fields})


def generate(**fields):
    return ("api_generate", {"prompt": "x", **fields})


# Fields that are wrong, one in each.
WRONG = {
    "body": ("chat", [1]), "body_text": ("chat", '"x"'), "body_null": ("chat", "null"),
    "body_number": ("chat", "1.5"), "body_bytes": ("chat", b"\xff"), "body_empty": ("chat", ""),
    "deep": ("chat", "[" * 100),
    "integer": chat(n=0), "integer_text": chat(n="1"), "integer_half": chat(max_tokens=1.5),
    "integer_list": chat(top_k=[]), "integer_object": chat(top_k={}),
    "seed": chat(seed=1.5), "seed_text": chat(seed="a"), "number": chat(temperature=-1),
    "number_text": chat(top_p="1"), "boolean": chat(stream=1), "text": ("chat", {"model": 1}),
    "word": chat(reasoning_effort="much"), "stop": chat(stop=1), "stop_list": chat(stop=["a", 1]),
    "object": chat(stream_options=1), "inner": chat(stream_options={"include_usage": 1}),
    "array": chat(tools=1), "no_messages": ("chat", {}), "message": ("chat", {"messages": [1]}),
    "role": ("chat", {"messages": [{"role": "king", "content": "x"}]}),
    "content": ("chat", {"messages": [user(1)]}), "no_content": ("chat", {"messages": [
        {"role": "user"}]}),
    "part": ("chat", {"messages": [user([1])]}),
    "part_type": ("chat", {"messages": [user([{"type": "image"}])]}),
    "part_text": ("chat", {"messages": [user([{"type": "text"}])]}),
    "call": ("chat", {"messages": [{"role": "assistant", "tool_calls": [1]}]}),
    "call_name": ("chat", {"messages": [{"role": "assistant", "tool_calls": [{"function": {}}]}]}),
    "prefix": ("chat", {"messages": [{"role": "user", "content": "x", "prefix": True}]}),
    "prefix_alone": ("chat", {"messages": [{"role": "assistant", "prefix": True}]}),
    "bias": chat(logit_bias={"x": 1}), "tool": chat(tools=[1]), "tool_name": chat(
        tools=[function("f g")]),
    "choice": chat(tools=[function()], tool_choice={"function": {"name": "g"}}),
    "choice_word": chat(tool_choice="required"), "choice_none": chat(
        tools=[function()], tool_choice="none", functions=[]),
    "format": chat(response_format={}), "format_schema": chat(
        response_format={"type": "json_schema"}),
    "format_grammar": chat(response_format={"type": "json_object"}, grammar="x"),
    "grammar_tools": chat(grammar="x", tools=[function()]),
    "grammar_stop": chat(grammar="x", early_stop="agreed"), "paths": chat(n=2, n_paths=2),
    "logprobs": chat(top_logprobs=1), "logprobs_paths": chat(logprobs=True, n_paths=2),
    "modalities": chat(modalities=["audio"], audio={}, web_search_options={}),
    "store": chat(store=True, early_stop="confident", paths_stop="off"),
    "prompt": ("completions", {}), "prompt_number": ("completions", {"prompt": 1}),
    "prompt_ids": ("completions", {"prompt": [1, -1]}),
    "prompt_mixed": ("completions", {"prompt": ["a", [1]]}),
    "prompt_items": ("completions", {"prompt": ["a", 1]}),
    "prompt_lists": ("completions", {"prompt": [[1], ["a"]]}),
    "prompt_many": ("completions", {"prompt": ["a"] * 65}),
    "prompt_n": ("completions", {"prompt": ["a"] * 64, "n": 64}),
    "prompt_echo": ("completions", {"prompt": [1], "echo": True, "logprobs": 1, "suffix": "x"}),
    "prompt_tools": ("completions", {"prompt": "a", "tools": [], "best_of": 3}),
    "input": ("responses", {}), "input_number": responses(input=1), "input_item": responses(
        input=[1]),
    "input_type": responses(input=[{"type": "image"}]),
    "input_role": responses(input=[{"content": "x"}]),
    "input_state": responses(previous_response_id="a", background=True, store=True),
    "input_tools": responses(tools=[{"type": "web_search"}]),
    "input_tool": responses(tools=[{"type": "function", "name": ""}]),
    "input_more": responses(n=2, n_paths=2, top_logprobs=1, truncation="auto"),
    "input_include": responses(include=["x"]), "input_thought": responses(
        input=[{"type": "reasoning"}]),
    "block": messages(user([1])), "block_type": messages(user([{"type": "image"}])),
    "block_input": messages({"role": "assistant", "content": [{"type": "tool_use", "input": 1}]}),
    "block_none": messages({"role": "user"}), "block_number": messages(user(1)),
    "block_role": messages({"content": "x"}), "block_message": messages(1),
    "block_last": messages({"role": "assistant", "content": "x"}),
    "block_no_messages": ("messages", {"max_tokens": 1}),
    "block_no_limit": ("messages", {"messages": [user()]}),
    "block_tool": messages(tools=[1]), "block_tool_type": messages(tools=[{"type": "bash"}]),
    "block_choice": messages(tool_choice={"type": "any"}),
    "block_thinking": messages(thinking={"type": "enabled"}),
    "block_format": messages(tools=[{"name": "f"}], output_format={
        "type": "json_schema", "schema": {}}),
    "option": generate(options={"num_predict": 0, "mirostat": 1, "typical_p": 0.5}),
    "option_system": generate(raw=True, system="s"), "option_suffix": generate(
        suffix="a", template="b", images=["c"], context=[1]),
    "option_logprobs": generate(logprobs=True), "option_format": generate(format="xml"),
    "option_format_number": generate(format=1), "option_alive": generate(keep_alive="5y"),
    "option_alive_list": generate(keep_alive=[]), "option_think": generate(think="deep"),
    "option_role": ("api_chat", {"messages": [1]}), "option_call": (
        "api_chat", {"messages": [{"role": "assistant", "images": ["a"], "tool_calls": [1]}]}),
    "name": ("show", {}), "name_number": ("pull", {"name": 1}), "copy_none": ("copy", {}),
    "content_none": ("tokenize", {}), "tokens": ("detokenize", {"tokens": ["a"]}),
    "tokens_none": ("detokenize", {}), "control_none": ("control", {}),
    "control_action": ("control", {"id": "x"}),
}

CHUNKED = "Transfer-Encoding: chunked"
JSON = "Content-Type: application/json"
RAW = {
    "get": raw("GET /health HTTP/1.1"), "old": raw(
        "HEAD / HTTP/1.0", "Connection: keep-alive", body="GET /metrics HTTP/1.1\r\n\r\n"),
    "two": raw("GET /api/version HTTP/1.1", body="GET /v1/models?x HTTP/1.1\r\nHost: localhost\r\n"
               "X-Api-Key: often-often-often\r\n\r\n", first=255),
    "chunked": raw("POST /tokenize HTTP/1.1", CHUNKED, body="2\r\n{}\r\n0\r\n\r\n"),
    "expect": raw("POST /api/chat HTTP/1.1", "Expect: 100-continue", "Content-Length: 2",
                  body="{}"),
    "expect_other": raw("POST /api/chat HTTP/1.1", "Expect: x", "Content-Length: 2", body="{}"),
    "origin": raw("GET /v1/models HTTP/1.1", "Origin: http://[::1]:80", "Sec-Fetch-Site: same-site",
                  host="[::1]:80"),
    "origin_null": raw("GET /run.js HTTP/1.1", "Origin: null"),
    "origin_foreign": raw("GET / HTTP/1.1", "Origin: https://evil.example"),
    "origin_none": raw("GET /v1/models HTTP/1.1", "Sec-Fetch-Site: cross-site"),
    "origin_visit": raw("GET / HTTP/1.1", "Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate"),
    "preflight": raw("OPTIONS /v1/models HTTP/1.1", "Origin: https://chat.example",
                     "Access-Control-Request-Headers: x", key=None),
    "origin_known": raw("GET /v1/models HTTP/1.1", "Origin: https://chat.example"),
    "host": raw("GET / HTTP/1.1", host="evil.example"), "host_none": raw("GET / HTTP/1.1",
                                                                        host=None),
    "host_twice": raw("GET / HTTP/1.1", "Host: localhost"), "host_port": raw(
        "GET / HTTP/1.1", host="localhost:x"),
    "host_bracket": raw("GET / HTTP/1.1", host="[::1"),
    "key_none": raw("GET /v1/models HTTP/1.1", key=None),
    "key_twice": raw("GET /v1/models HTTP/1.1", "Authorization: Bearer often-often-often"),
    "key_wrong": raw("POST /v1/messages HTTP/1.1", key="x" * 300),
    "key_little": raw("DELETE /api/delete HTTP/1.1", key="once-once-once-once", first=255) + raw(
        "DELETE /api/delete HTTP/1.1", key="once-once-once-once")[1:],
    "type": raw("POST /tokenize HTTP/1.1", "Content-Type: text/plain", "Content-Length: 2",
                body="{}"),
    "type_json": raw("POST /tokenize HTTP/1.1", JSON + " ; charset=utf-8", "Content-Length: 2",
                     body="{}"),
    "path": raw("GET /nothing HTTP/1.1"), "method": raw("GET /v1/chat/completions HTTP/1.1"),
    "model": raw("GET /v1/models/a%3ab%2Fc%zz HTTP/1.1"), "ps": raw("GET /api/ps HTTP/1.1"),
    "tags": raw("GET /api/tags HTTP/1.1"), "embed": raw("POST /api/embed HTTP/1.1"),
    "openapi": raw("GET /openapi.json HTTP/1.1"), "catalog": raw("GET /reckon/catalog HTTP/1.1"),
    "machine": raw("GET /reckon/machine HTTP/1.1"), "line": b"\0GARBAGE\r\n\r\n",
    "both": raw("POST /tokenize HTTP/1.1", CHUNKED, "Content-Length: 2", body="{}"),
    "large": raw("POST /tokenize HTTP/1.1", "Content-Length: 99999"), "long": raw(
        "GET / HTTP/1.1", "X: " + "x" * 3000),
    "late": raw("POST /tokenize HTTP/1.1", "Content-Length: 9", first=255),
    "late_line": b"\xffGET /", "waits": raw("GET /health HTTP/1.1", first=255),
    "page": b"\xfd", "page_icon": b"\xfdicon.svg", "page_none": b"\xfda.css",
    "page_run": b"\xfdrun.html",
}


def http_seeds():
    seeds = {name: request(*what) for name, what in GOOD.items()}
    seeds |= {"wrong_" + name: request(*what) for name, what in WRONG.items()}
    seeds |= RAW
    seeds |= {"tools_" + name: b"\xfe" + encoded(tools) for name, tools in TOOLS.items()}
    return seeds
