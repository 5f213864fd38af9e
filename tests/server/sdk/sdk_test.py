"""Unchanged Python clients against the server: openai, anthropic, ollama, LangChain.

Usage: sdk_test.py RECKON MODEL; whatever the model, it is asked to keep a format, not to be right.
"""

import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest
import urllib.request

import anthropic
import ollama
import openai
from langchain_ollama import ChatOllama
from langchain_openai import ChatOpenAI

RECKON = sys.argv[1]
MODEL = sys.argv[2]
QUESTION = [{"role": "user", "content": "What is 2 + 2?"}]
TOOL = {"type": "function",
        "function": {"name": "get_weather", "description": "The weather of a city",
                     "parameters": {"type": "object",
                                    "properties": {"city": {"type": "string", "maxLength": 8},
                                                   "days": {"type": "integer", "minimum": 1,
                                                            "maximum": 9}},
                                    "required": ["city", "days"],
                                    "additionalProperties": False}}}
SCHEMA = {"type": "object",
          "properties": {"answer": {"type": "integer", "minimum": 0, "maximum": 99},
                         "sure": {"type": "boolean"}},
          "required": ["answer", "sure"], "additionalProperties": False}


class Sdk(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        environment = dict(os.environ, RECKON_MODELS=str(pathlib.Path(cls.folder.name, "models")))
        cls.server = subprocess.Popen(
            [RECKON, "serve", "-m", MODEL, "--port", "0", "--ctx", "2048"], env=environment,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        cls.url = re.search(r"http://\S+", cls.server.stdout.readline()).group(0)
        cls.model = pathlib.Path(MODEL).stem
        cls.openai = openai.OpenAI(base_url=cls.url + "/v1", api_key="none", max_retries=0)
        cls.anthropic = anthropic.Anthropic(base_url=cls.url, api_key="none", max_retries=0)
        cls.ollama = ollama.Client(host=cls.url)

    @classmethod
    def tearDownClass(cls):
        cls.server.terminate()
        cls.server.wait(30)
        cls.server.stdout.close()
        cls.folder.cleanup()

    # --- openai

    def test_openai_models(self):
        self.assertIn(self.model, [m.id for m in self.openai.models.list()])
        self.assertEqual(self.openai.models.retrieve(self.model).id, self.model)

    def test_openai_stream_is_what_is_not_streamed(self):
        fields = {"model": self.model, "messages": QUESTION, "max_tokens": 80, "temperature": 0,
                  "extra_body": {"thinking_budget_tokens": 20}}
        whole = self.openai.chat.completions.create(**fields)
        thinking, answer, usage, finish = "", "", None, None
        for chunk in self.openai.chat.completions.create(
                stream=True, stream_options={"include_usage": True}, **fields):
            usage = chunk.usage or usage
            for choice in chunk.choices:
                thinking += getattr(choice.delta, "reasoning_content", None) or ""
                answer += choice.delta.content or ""
                finish = choice.finish_reason or finish
        self.assertEqual(answer, whole.choices[0].message.content)
        self.assertEqual(thinking, getattr(whole.choices[0].message, "reasoning_content", ""))
        self.assertEqual(finish, whole.choices[0].finish_reason)
        self.assertEqual(usage.completion_tokens, whole.usage.completion_tokens)
        self.assertGreater(usage.completion_tokens_details.reasoning_tokens, 0)

    def test_openai_tool_call_round_trip(self):
        for stream in (False, True):
            fields = {"model": self.model, "messages": QUESTION, "tools": [TOOL],
                      "tool_choice": "required", "max_tokens": 400, "seed": 1,
                      "reasoning_effort": "none"}
            if stream:
                calls = {}
                for chunk in self.openai.chat.completions.create(stream=True, **fields):
                    for call in chunk.choices[0].delta.tool_calls or []:
                        entry = calls.setdefault(call.index, {"id": call.id, "arguments": "",
                                                              "name": call.function.name})
                        entry["arguments"] += call.function.arguments or ""
                    finish = chunk.choices[0].finish_reason
                call = calls[0]
            else:
                choice = self.openai.chat.completions.create(**fields).choices[0]
                finish = choice.finish_reason
                made = choice.message.tool_calls[0]
                call = {"id": made.id, "name": made.function.name,
                        "arguments": made.function.arguments}
            self.assertEqual(finish, "tool_calls")
            self.assertEqual(call["name"], "get_weather")
            arguments = json.loads(call["arguments"])
            self.assertTrue(1 <= arguments["days"] <= 9)
            messages = QUESTION + [
                {"role": "assistant", "content": None,
                 "tool_calls": [{"id": call["id"], "type": "function",
                                 "function": {"name": call["name"],
                                              "arguments": call["arguments"]}}]},
                {"role": "tool", "tool_call_id": call["id"], "content": "sunny"}]
            after = self.openai.chat.completions.create(
                model=self.model, messages=messages, tools=[TOOL], max_tokens=5)
            self.assertIn(after.choices[0].finish_reason, ("length", "stop"))

    def test_openai_json_schema(self):
        reply = self.openai.chat.completions.create(
            model=self.model, messages=QUESTION, max_tokens=300, seed=2,
            extra_body={"thinking_budget_tokens": 10},
            response_format={"type": "json_schema",
                             "json_schema": {"name": "answer", "strict": True, "schema": SCHEMA}})
        value = json.loads(reply.choices[0].message.content)
        self.assertEqual(sorted(value), ["answer", "sure"])
        self.assertTrue(0 <= value["answer"] <= 99)

    def test_openai_choices_logprobs_completions(self):
        reply = self.openai.chat.completions.create(
            model=self.model, messages=QUESTION, max_tokens=6, n=2, logprobs=True, top_logprobs=2,
            reasoning_effort="none")
        self.assertEqual(len(reply.choices), 2)
        text = self.openai.completions.create(model=self.model, prompt="one two", max_tokens=4,
                                              logprobs=1)
        self.assertEqual(len(text.choices[0].logprobs.tokens), 4)

    def test_openai_responses(self):
        reply = self.openai.responses.create(model=self.model, input="hi", max_output_tokens=40,
                                             reasoning={"effort": "low"}, temperature=0)
        self.assertIn(reply.status, ("completed", "incomplete"))
        text = ""
        last = None
        for event in self.openai.responses.create(model=self.model, input="hi", temperature=0,
                                                  max_output_tokens=40, stream=True,
                                                  reasoning={"effort": "low"}):
            last = event
            if event.type == "response.output_text.delta":
                text += event.delta
        self.assertEqual(text, reply.output_text)
        self.assertEqual(last.response.usage.total_tokens, reply.usage.total_tokens)

    def test_openai_errors(self):
        with self.assertRaises(openai.NotFoundError):
            self.openai.chat.completions.create(model="nobody", messages=QUESTION)
        with self.assertRaises(openai.BadRequestError) as caught:
            self.openai.embeddings.create(model=self.model, input="x")
        self.assertIn("embeddings", str(caught.exception))

    # --- anthropic

    def test_anthropic_messages(self):
        fields = {"model": self.model, "max_tokens": 80, "messages": QUESTION,
                  "extra_body": {"temperature": 0},
                  "thinking": {"type": "enabled", "budget_tokens": 20}}
        whole = self.anthropic.messages.create(**fields)
        self.assertEqual(whole.content[0].type, "thinking")
        self.assertTrue(whole.content[0].signature)
        with self.anthropic.messages.stream(**fields) as stream:
            final = stream.get_final_message()
        self.assertEqual([b.model_dump() for b in final.content],
                         [b.model_dump() for b in whole.content])
        again = self.anthropic.messages.create(
            model=self.model, max_tokens=4,
            messages=QUESTION + [{"role": "assistant", "content": whole.content},
                                 {"role": "user", "content": "and 3 + 3?"}])
        self.assertEqual(again.role, "assistant")
        count = self.anthropic.messages.count_tokens(model=self.model, messages=QUESTION)
        self.assertEqual(count.input_tokens,
                         whole.usage.input_tokens + whole.usage.cache_read_input_tokens)

    def test_anthropic_tools(self):
        tools = [{"name": "get_weather", "description": "The weather",
                  "input_schema": TOOL["function"]["parameters"]}]
        reply = self.anthropic.messages.create(
            model=self.model, max_tokens=400, messages=QUESTION, tools=tools,
            tool_choice={"type": "any"}, thinking={"type": "disabled"})
        call = reply.content[-1]
        self.assertEqual((call.type, call.name, reply.stop_reason),
                         ("tool_use", "get_weather", "tool_use"))
        with self.anthropic.messages.stream(
                model=self.model, max_tokens=400, messages=QUESTION, tools=tools,
                tool_choice={"type": "any"}, thinking={"type": "disabled"}) as stream:
            self.assertEqual(stream.get_final_message().content[-1].type, "tool_use")
        after = self.anthropic.messages.create(
            model=self.model, max_tokens=4, tools=tools,
            messages=QUESTION + [{"role": "assistant", "content": reply.content},
                                 {"role": "user", "content": [
                                     {"type": "tool_result", "tool_use_id": call.id,
                                      "content": "sunny"}]}])
        self.assertEqual(after.type, "message")

    # --- ollama

    def test_ollama_chat(self):
        fields = {"model": self.model, "messages": QUESTION,
                  "options": {"temperature": 0, "num_predict": 60}}
        whole = self.ollama.chat(think="low", **fields)
        parts = list(self.ollama.chat(think="low", stream=True, **fields))
        self.assertEqual("".join(p.message.content or "" for p in parts), whole.message.content)
        self.assertEqual("".join(p.message.thinking or "" for p in parts),
                         whole.message.thinking or "")
        self.assertEqual(parts[-1].eval_count, whole.eval_count)
        self.assertTrue(parts[-1].done)

    def test_ollama_models(self):
        self.assertIn(self.model, [m.model for m in self.ollama.list().models])
        self.assertIn("completion", self.ollama.show(self.model).capabilities)
        self.ollama.generate(model=self.model, prompt="hi", options={"num_predict": 2})
        self.assertIn(self.model, [m.model for m in self.ollama.ps().models])
        with self.assertRaises(ollama.ResponseError):
            self.ollama.generate(model="nobody", prompt="x")

    def test_ollama_format_and_tools(self):
        reply = self.ollama.chat(model=self.model, messages=QUESTION, format=SCHEMA, think=False,
                                 options={"num_predict": 200})
        self.assertEqual(sorted(json.loads(reply.message.content)), ["answer", "sure"])
        self.ollama.chat(model=self.model, messages=QUESTION, tools=[TOOL],
                         options={"num_predict": 4})

    # --- LangChain

    def test_langchain(self):
        chat = ChatOpenAI(model=self.model, base_url=self.url + "/v1", api_key="none",
                          max_tokens=40, temperature=0, max_retries=0)
        whole = chat.invoke("hi")
        self.assertEqual("".join(c.content for c in chat.stream("hi")), whole.content)
        forced = chat.bind_tools([TOOL], tool_choice="required").bind(
            max_tokens=400, reasoning_effort="none").invoke("hi")
        self.assertEqual(forced.tool_calls[0]["name"], "get_weather")
        local = ChatOllama(model=self.model, base_url=self.url, num_predict=30, temperature=0)
        self.assertEqual("".join(c.content for c in local.stream("hi")),
                         local.invoke("hi").content)

    def test_streams_end_as_they_should(self):
        body = json.dumps({"messages": QUESTION, "max_tokens": 3, "stream": True}).encode()
        request = urllib.request.Request(self.url + "/v1/chat/completions", body,
                                         {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as reply:
            data = reply.read()
        self.assertTrue(data.endswith(b"data: [DONE]\n\n"))
        for event in data.split(b"\n\n")[:-2]:
            self.assertTrue(event.startswith(b"data: {"), event)
            json.loads(event[6:])


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
