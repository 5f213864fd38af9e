"""What fuzz/store_fuzz.cpp takes, for fuzz_seeds.py."""

from fuzz_schema_seeds import encoded

DIGEST = "a" * 64


def record(files=None, **changes):
    whole = {"version": 1, "origin": "pulled", "source": "hf:o/r/f.gguf", "pulled_at_s": 1,
             "names": ["r1:7b:q8_0"], "files": files if files is not None else [record_file()]}
    return {key: value for key, value in {**whole, **changes}.items() if value is not None}


def record_file(**changes):
    return {"name": "f.gguf", "bytes": 1, "sha256": DIGEST, "written_at_ns": 1, **changes}


RECORDS = {
    "": record(), "_file": record([record_file(name="/a/f.gguf")], origin="file"),
    "_two": record([record_file(), record_file(name="g.gguf", sha256="B" * 64)], names=["a", "b"]),
    "_list": [], "_version": record(version=2), "_no_version": record(version=None),
    "_origin": record(origin="ollama"), "_source": record(source=1), "_time": record(
        pulled_at_s=-1),
    "_no_names": record(names=[]), "_name_number": record(names=[1]),
    "_name": record(names=["../x"]), "_no_files": record([]), "_file_number": record([1]),
    "_path": record([record_file(name="../f.gguf")]),
    "_relative": record([record_file(name="f.gguf")], origin="file"),
    "_digest": record([record_file(sha256="a")]), "_bytes": record([record_file(bytes=1.5)]),
}


def journal(**changes):
    return {"etag": '"e"', "sha256": "", "bytes": 100000, "piece_bytes": 65536,
            "done": [65536, 1000], **changes}


JOURNALS = {"": journal(), "_other": journal(etag='"f"'), "_list": [], "_text": "{",
            "_piece": journal(piece_bytes=1), "_short": journal(done=[1]),
            "_much": journal(done=[1, 65536]), "_minus": journal(done=[-1, 0])}


def layer(kind="model", digest="sha256:" + DIGEST):
    return {"mediaType": "application/vnd.ollama.image." + kind, "digest": digest}


MANIFESTS = {"": {"layers": [layer("template"), layer()]}, "_two": {"layers": [layer(), layer()]},
             "_adapter": {"layers": [layer(), layer("adapter")]}, "_list": [], "_text": "{",
             "_digest": {"layers": [layer(digest="sha256:../x")]}, "_none": {"layers": [1, {}]},
             "_gone": {"layers": [layer(digest="sha256:" + "b" * 64)]}}


def listed(name, **lfs):
    return {"rfilename": name, **({"lfs": lfs} if lfs else {})}


def hub(reference, answer):
    return reference.encode() + b"\n" + encoded(answer)


def answer(status, *fields, body=""):
    return "\r\n".join([f"HTTP/1.1 {status}", *fields, "", body])


FILES = {"siblings": [
    listed("README.md"), listed("M-Q4_K_M.gguf", sha256=DIGEST, size=5),
    listed("M-Q8_0-00001-of-00002.gguf", oid="B" * 64, size=5),
    listed("M-Q8_0-00002-of-00002.gguf", sha256="short", size=-1), listed("mmproj-Q4_K_M.gguf")]}
ONE_FILE = answer("206 Partial Content", "Content-Range: bytes 0-0/5", "Content-Length: 1",
                  'ETag: "e"', "X-Linked-Size: 5", f'X-Linked-Etag: W/"{"A" * 64}"',
                  "X-Repo-Commit: " + "c" * 40, body="x")
HUB = {
    "list": hub("hf:o/r", FILES), "list_type": hub("hf:o/r:q8_0", FILES),
    "list_no_type": hub("hf:o/r:q2_k", FILES), "list_revision": hub("hf:o/r@v1", FILES),
    "list_one": hub("hf:o/r", {"siblings": [listed("a/x.gguf", sha256=DIGEST)]}),
    "list_none": hub("hf:o/r", {"siblings": []}), "list_number": hub("hf:o/r", {"siblings": 1}),
    "list_names": hub("hf:o/r", {"siblings": [{"name": "x"}]}), "list_list": hub("hf:o/r", []),
    "list_items": hub("hf:o/r", {"siblings": [1]}), "list_text": hub("hf:o/r", "<html>"),
    "list_lfs": hub("hf:o/r/x.gguf", {"siblings": [{"rfilename": "x.gguf", "lfs": 1}]}),
    "list_path": hub("hf:o/r", {"siblings": [listed("../x.gguf")]}),
    "list_deep": hub("hf:o/r", {"siblings": [listed("a/" * 9 + "x.gguf")]}),
    "list_missing": hub("hf:o/r", answer("404 Not Found", "Content-Length: 0")),
    "list_refused": hub("hf:o/r", answer("401 Unauthorized", "Content-Length: 0")),
    "list_busy": hub("hf:o/r", answer("429 Too Many Requests", "Content-Length: 0")),
    "list_trouble": hub("hf:o/r", answer("503 Trouble", "Content-Length: 0")),
    "list_teapot": hub("hf:o/r", answer("418 Teapot", "Content-Length: 0")),
    "list_chunked": hub("hf:o/r", answer("200 OK", "Transfer-Encoding: chunked",
                                         body="2\r\n{}\r\n0\r\n\r\n")),
    "list_cut": hub("hf:o/r", answer("200 OK", "Content-Length: 9", body="{")),
    "list_garbage": hub("hf:o/r", "HTTP/9.9 what"),
    "list_round": hub("hf:o/r", answer("302 Found", "Content-Length: 0")),
    "catalog": hub("r1:7b", {"siblings": []}), "catalog_type": hub("r1:7b:q4_k_m", ONE_FILE),
    "catalog_other": hub("r1:1.5b:q8_0", {"siblings": [listed("M-Q8_0.gguf")]}),
    "file": hub("hf:o/r/M-Q8_0-00002-of-00002.gguf", FILES), "file_served": hub(
        "hf:o/r/x.gguf", ONE_FILE),
    "file_size": hub("hf:o/r/x.gguf", ONE_FILE.replace("Size: 5", "Size: 6")),
    "file_range": hub("hf:o/r/x.gguf", ONE_FILE.replace("0-0/5", "1-1/5")),
    "file_whole": hub("hf:o/r/x.gguf", answer("200 OK", "Content-Length: 5", body="GGUF!")),
    "file_no_length": hub("hf:o/r/x.gguf", answer("200 OK", body="GGUF!")),
    "file_page": hub("hf:o/r/x.gguf", answer("200 OK", "Content-Type: text/html",
                                             "Content-Length: 1", body="x")),
    "file_empty": hub("hf:o/r/x.gguf", answer("200 OK", "Content-Length: 0")),
    "file_deep": hub("hf:o/r/" + "a/" * 9 + "x.gguf", {}), "file_bad": hub("hf:o/r/a%.gguf", {}),
}

REFERENCES = {
    "catalog": "r1:7b:q8_0", "catalog_default": "r1:7b", "file": "./f.gguf", "file_bare": "f.gguf",
    "hub": "hf:o/r@v1/d/f.gguf", "hub_type": "hf:o/r:q8_0", "hub_plain": "hf:o/r",
    "hub_short": "hf:o", "hub_owner": "hf:.o/r", "hub_ending": "hf:o/r/f.bin",
    "hub_dots": "hf:o/r/../f.gguf", "hub_long": "hf:o/" + "r" * 97, "hub_name": "hf:o/r/ f.gguf",
    "hub_revision": "hf:o/r@/f.gguf", "hub_no_type": "hf:o/r:",
    "url": "https://example.com/f.gguf?x",
    "url_bad": "http:/x", "unknown": "llama:7b", "type": "r1:7b:", "empty": "", "nul": "a\0b",
    "ollama": "deepseek-r1:7b", "ollama_latest": "hf.co/o/r:latest", "ollama_hub":
    "huggingface.co/o/r:Q8_0", "ollama_bad": "hf.co/o",
}
URLS = {
    "": "https://[::1]:80/a?b", "_redirect": "//b.example/../c", "_plain": "http://A.example",
    "_dots": "/a/./b/../../c/..?d/..", "_relative": "c?d", "_relative_dots": "../..",
    "_lower": "http://hub.example/a", "_user": "https://a@b.example/", "_scheme": "ftp://a/",
    "_fragment": "https://a/#b", "_blank": "https://a/ b", "_bracket": "https://[::1/",
    "_address": "https://[x]/", "_host": "https://a_b/", "_no_host": "https:///a",
    "_port": "https://a:0/", "_port_word": "https://a:x/", "_port_end": "https://a:/",
    "_after": "https://[::1]x/", "_query": "https://a?b#c", "_long": "https://a/" + "b" * 8200,
    "_utf8": "\u00e9 %",
}
PATHS = {
    "": "q8_0\nM-Q8_0\nx-00001-of-00002\nsub/M-Q8_0-00001-of-00003", "_default": "\nM-Q4_K_M",
    "_one": "\nx", "_none": "q8_0\n", "_two": "q8_0\na.q8_0\nb-Q8_0",
    "_marks": "x\nx-00003-of-00002\nx-0000a-of-00002\nx-00000-of-00001\nx-00001-of-99999\n-",
}
RANGES = {"": "bytes 0-9/100", "_unit": "octets 0-9/100", "_all": "bytes 0-9/*", "_slash":
          "bytes 0/9-100", "_back": "bytes 9-0/100", "_beyond": "bytes 0-9/9", "_empty": "bytes -/",
          "_huge": "bytes 0-9/99999999999999999999"}
ADDRESSES = {
    "public": bytes([8, 8, 8, 8]), "private": bytes([10, 0, 0, 1]), "metadata": bytes(
        [169, 254, 169, 254]), "short": b"abc",
    "wide": bytes.fromhex("20014860486000000000000000008888"),
    "mapped": bytes.fromhex("0064ff9b0000000000000000") + bytes([127, 0, 0, 1]),
    "local": bytes(15) + b"\1", "tunnel": b"\x20\x02" + bytes(14), "special":
    b"\x20\x01" + bytes(14), "documents": b"\x20\x01\x0d\xb8" + bytes(12),
    "documents_new": b"\x3f\xff" + bytes(14), "public_new": b"\x3f\xff\xf0" + bytes(13),
}


def store_seeds():
    kinds = (("reference_", REFERENCES), ("url", URLS), ("paths", PATHS), ("record", RECORDS),
             ("range", RANGES), ("address_", ADDRESSES), ("journal", JOURNALS),
             ("manifest", MANIFESTS), ("hub_", HUB))
    return {prefix + name: bytes([number]) + encoded(value)
            for number, (prefix, values) in enumerate(kinds) for name, value in values.items()}
