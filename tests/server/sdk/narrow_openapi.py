"""The published OpenAPI document with small limits on what makes an answer long, so that a fuzzer's
requests end soon: python3 narrow_openapi.py URL >FILE."""
import json
import sys
import urllib.request

SMALL = {"max_tokens": 32, "max_completion_tokens": 32, "max_output_tokens": 32, "num_predict": 32,
         "n": 4, "n_paths": 4, "paths_window": 4, "min_thinking_tokens": 100}


def narrow(value):
    if isinstance(value, list):
        for item in value:
            narrow(item)
    elif isinstance(value, dict):
        for name, most in SMALL.items():
            if isinstance(value.get(name), dict) and "maximum" in value[name]:
                value[name]["maximum"] = most
        for item in value.values():
            narrow(item)


with urllib.request.urlopen(sys.argv[1]) as reply:
    document = json.load(reply)
narrow(document["paths"])
json.dump(document, sys.stdout)
