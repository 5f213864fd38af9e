#!/usr/bin/env python3
"""reckon pull, list, rm, verify and names for models, against a hub on the loopback address.

Usage: pull_test.py RECKON [TEST...]
"""

import hashlib
import json
import os
import signal
import time

from store_harness import FILE, NAME, PATH, REPOSITORY, StoreTests, main


class Pull(StoreTests):
    def test_from_pull_to_rm(self):
        model = self.pulled(f"hf:{REPOSITORY}")
        self.assertEqual(model["name"], NAME)
        self.assertEqual(model["files"][0]["sha256"], hashlib.sha256(self.data).hexdigest())
        self.assertEqual(self.names(), [NAME])
        answer = self.expect_json("ask", "-m", NAME, "--raw", "--temp", "0", "--ctx", "256",
                                  "--max-tokens", "3", "hi")
        same = self.expect_json("ask", "-m", self.model, "--raw", "--temp", "0", "--ctx", "256",
                                "--max-tokens", "3", "hi")
        self.assertEqual(answer["answer"], same["answer"])
        self.assertIn(FILE, self.expect_json("show", NAME)["path"])
        self.expect(0, "verify", NAME)
        # What is there is not fetched again.
        self.hub.forget()
        self.pulled()
        self.assertEqual(self.hub.seen("cdn"), [])
        self.expect(0, "rm", NAME)
        self.assertEqual(self.names(), [])
        self.assertEqual(list(self.models.iterdir()), [])

    def test_several_connections_and_ranges(self):
        self.pulled()
        ranges = {headers["Range"] for _, _, headers in self.hub.seen("cdn")}
        self.assertGreater(len(ranges), 10)
        # Pinned to the commit that the hub named, from the second request on.
        paths = [path for _, path, _ in self.hub.seen("hub")]
        self.assertIn("/resolve/main/", paths[0])
        self.assertTrue(all("/resolve/0123456789abcdef" in path for path in paths[1:]))

    def test_types_of_a_repository(self):
        self.hub.files[f"{REPOSITORY}/sub/tiny-Q8_0.gguf"] = self.data
        self.hub.files[f"{REPOSITORY}/mmproj-Q4_K_M.gguf"] = b"no"
        self.pulled(f"hf:{REPOSITORY}:q8_0")
        self.pulled(f"hf:{REPOSITORY}")
        self.assertEqual(self.names(), [f"hf:{REPOSITORY}/sub/tiny-Q8_0.gguf", NAME])
        self.assertIn("Q8_0", self.expect_json("show", f"hf:{REPOSITORY}:q8_0")["path"])
        self.assertIn("Q4_K_M", self.expect_json("show", f"hf:{REPOSITORY}")["path"])
        self.expect_error(2, "on offer: \"q4_k_m, q8_0\"", "pull", f"hf:{REPOSITORY}:q6_k")

    def test_names_with_blanks_and_brackets(self):
        file = "a dir/tiny (v1+2) [x].gguf"
        self.hub.files[f"{REPOSITORY}/{file}"] = self.data
        name = f"hf:{REPOSITORY}/{file}"
        self.pulled(name)
        local = self.folder / "here (1).gguf"
        local.write_bytes(self.data)
        self.pulled(local)
        self.assertEqual(self.names(), ["here (1)", name])
        for name in ("here (1)", name):
            self.expect(0, "verify", name)
            self.expect(0, "rm", name)
        local.unlink()
        self.expect_error(2, "model name", "pull", f"hf:{REPOSITORY}/a/ b.gguf")

    def test_a_name_of_the_catalog(self):
        # The hub's copy is another file than the catalog's: refused before anything is fetched.
        repository = "bartowski/DeepSeek-R1-Distill-Qwen-7B-GGUF"
        self.hub.files[f"{repository}/DeepSeek-R1-Distill-Qwen-7B-Q4_K_M.gguf"] = self.data
        self.expect_error(3, "expected a size of 4683073504", "pull", "r1:7b")
        self.assertEqual(self.stored(), [])
        # Of other types the hub itself says what they are.
        self.hub.files[f"{repository}/DeepSeek-R1-Distill-Qwen-7B-Q8_0.gguf"] = self.data
        self.pulled("r1:7b:q8_0")
        self.assertEqual(self.names(), ["r1:7b:q8_0"])
        path = self.expect_json("show", "r1:7b")["path"]
        self.assertIn("Q8_0", path)
        self.expect_error(2, "reckon pull r1:14b", "ask", "-m", "r1:14b", "hi")

    def test_shards(self):
        whole = {f"{REPOSITORY}/x-0000{i}-of-00002.gguf": part
                 for i, part in enumerate(split(self.data), 1)}
        self.hub.files = whole
        # Two files that are no true shards: fetched both, then refused by what reads them.
        run = self.run_reckon("pull", f"hf:{REPOSITORY}/x-00001-of-00002.gguf")
        self.assertEqual(run.returncode, 3, run.stderr)
        fetched = {path.rsplit("/", 1)[1] for _, path, _ in self.hub.seen("cdn")}
        self.assertEqual(fetched, {"x-00001-of-00002.gguf", "x-00002-of-00002.gguf"})
        self.assertEqual(self.stored(), [])

    def test_url_and_file(self):
        self.pulled(f"{self.hub.endpoint}/{PATH}?download=true")
        stem = FILE.removesuffix(".gguf")
        self.assertEqual(self.names(), [stem])
        local = self.folder / "here.gguf"
        local.write_bytes(self.data)
        self.pulled(local)
        self.assertEqual(self.names(), ["here", stem])
        self.expect(0, "rm", "here")
        self.assertTrue(local.exists())
        other = self.folder / FILE
        other.write_bytes(self.data)
        self.expect_error(2, "is taken by", "pull", other)
        other.unlink()
        local.unlink()

    def test_token_goes_to_the_hub_alone(self):
        self.hub.token = "hf_secret"
        self.expect_error(1, "set HF_TOKEN", "pull", NAME)
        self.variables["HF_TOKEN"] = "hf_secret"
        self.pulled()
        self.assertEqual([h.get("Authorization") for _, _, h in self.hub.seen("cdn")],
                         [None] * len(self.hub.seen("cdn")))
        self.variables["HF_ENDPOINT"] = "http://hub.example"
        self.expect_error(2, "unencrypted", "pull", NAME)

    def test_tokens_that_are_none(self):
        for token in ("a b", "a\nHost: x", "a\rb", "t\u00f6ken"):
            self.expect_error(2, "HF_TOKEN", "pull", NAME, env={"HF_TOKEN": token})
        self.assertEqual(self.hub.requests, [])

    def test_tokens_where_no_hub_is_asked(self):
        local = self.folder / "here.gguf"
        local.write_bytes(self.data)
        for variables in ({"HF_TOKEN": "a b"},
                          {"HF_TOKEN": "hf_secret", "HF_ENDPOINT": "http://hub.example"}):
            for what in (local, f"{self.hub.endpoint}/{PATH}"):
                self.expect(0, "pull", what, env=variables)
                self.expect(0, "rm", self.names()[0])
        self.assertTrue(all("Authorization" not in headers for _, _, headers in self.hub.requests))
        local.unlink()

    def test_token_file(self):
        self.hub.token = "hf_filed"
        path = self.folder / "token"
        path.write_text("hf_filed\n")
        self.variables["HF_TOKEN_PATH"] = str(path)
        self.pulled()

    def test_wrong_hash_keeps_nothing(self):
        self.hub.linked_sha256[PATH] = "0" * 64
        self.expect_error(3, "nothing of it is kept", "pull", NAME)
        self.assertEqual(list(self.models.iterdir()), [])
        del self.hub.linked_sha256[PATH]
        self.pulled()

    def test_hashes_that_only_the_list_says(self):
        """A mirror that leads to another host for its answers: nothing comes unchecked."""
        self.hub.is_linked = False
        for name in (NAME, f"hf:{REPOSITORY}"):
            self.pulled(name)
            self.expect(0, "rm", NAME)
        self.hub.listed_sha256[PATH] = "0" * 64
        for name in (NAME, f"hf:{REPOSITORY}"):
            self.expect_error(3, "nothing of it is kept", "pull", name)
        self.hub.lists_hashes = False
        for name in (NAME, f"hf:{REPOSITORY}"):
            self.expect_error(1, "can't be checked", "pull", name)
        self.assertEqual(list(self.models.iterdir()), [])
        self.pulled(f"{self.hub.endpoint}/{REPOSITORY}/resolve/main/{FILE}")

    def test_what_the_hub_says_changes_meanwhile(self):
        def change(_handler, path, data, first, _last):
            if first > 0:
                self.hub.linked_sha256[path] = "1" * 64
            return False
        self.hub.fault = change
        self.expect_error(1, "changed on the server", "pull", NAME)
        self.hub.fault = None
        self.hub.linked_sha256.clear()
        self.pulled()

    def test_servers_behind_the_hub_may_call_it_differently(self):
        etags = iter(range(10**6))

        def rename(*_):
            self.hub.etag = f'"{next(etags)}"'
            return False
        self.hub.fault = rename
        self.pulled()

    def test_no_gguf_is_refused(self):
        self.hub.files[PATH] = b"<html>" * 50000
        self.expect_error(3, "nothing of it is kept", "pull", NAME)
        self.assertEqual(self.stored(), [])

    def test_a_server_without_ranges(self):
        self.hub.ranges = False
        self.pulled()

    def test_changed_content_is_seen(self):
        self.pulled()
        path = next(self.models.rglob("*.gguf"))
        path.chmod(0o644)
        # Only the time: hashed again, and found to be right.
        os.utime(path)
        self.expect(0, "show", NAME)
        with path.open("r+b") as file:
            file.seek(len(self.data) - 1)
            file.write(bytes([self.data[-1] ^ 1]))
        self.expect_error(3, "expected SHA-256", "ask", "-m", NAME, "hi")
        self.expect_error(3, "expected SHA-256", "verify", NAME)
        # Pulled again, it is as it was.
        self.pulled()
        self.expect(0, "verify", NAME)

    def test_other_names_stay(self):
        file = "bartowski/DeepSeek-R1-Distill-Qwen-7B-GGUF/DeepSeek-R1-Distill-Qwen-7B-Q8_0.gguf"
        self.hub.files[file] = self.data
        names = [f"hf:{file}", "r1:7b:q8_0"]
        for name in names:
            self.pulled(name)
        self.assertEqual(self.names(), names)
        path = next(self.models.rglob("*.gguf"))
        path.chmod(0o644)
        path.write_bytes(b"no model")
        self.pulled(f"hf:{file}")
        self.assertEqual(self.names(), names)
        # The name that is meant goes, not the first one.
        self.expect(0, "rm", "r1:7b")
        self.assertEqual(self.names(), names[:1])
        self.expect(0, "verify", names[0])

    def test_two_pulls_at_once(self):
        self.hub.bytes_per_s = 200_000
        first = self.start("pull", NAME)
        self.wait_for_part()
        self.expect_error(1, "under way", "pull", NAME)
        self.hub.bytes_per_s = None
        self.assertEqual(first.wait(timeout=60), 0)
        self.expect(0, "verify", NAME)

    def test_interrupt_and_go_on(self):
        self.hub.bytes_per_s = 200_000
        process = self.start("pull", NAME)
        self.wait_for_part()
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(timeout=60), 130)
        journal = json.loads(next(self.models.rglob("*.part.json")).read_text())
        done = sum(journal["done"])
        self.assertGreater(done, 0)
        self.hub.bytes_per_s = None
        sent = self.count_sent(self.pulled)
        self.assertLessEqual(sent, len(self.data) - done + 1)
        self.assertEqual([path for path in self.stored() if ".part" in path], [])

    def test_run_pulls_and_chats(self):
        self.expect(0, "run", NAME, "--ctx", "256", "--max-tokens", "3", stdin=b"hi\n")
        self.assertEqual(self.names(), [NAME])
        self.hub.forget()
        self.expect(0, "run", NAME, "--ctx", "256", "--max-tokens", "3", stdin=b"hi\n")
        self.assertEqual(self.hub.requests, [])

    def wait_for_part(self):
        end = time.monotonic() + 60
        while not list(self.models.rglob("*.part")):
            self.assertLess(time.monotonic(), end)
            time.sleep(0.02)

    def count_sent(self, job):
        """Bytes that the second server was asked for while job ran."""
        self.hub.forget()
        job()
        ranges = [h["Range"].removeprefix("bytes=").split("-") for _, _, h in self.hub.seen("cdn")]
        return sum(int(last) + 1 - int(first) for first, last in ranges)


def split(data):
    return data[:len(data) // 2], data[len(data) // 2:]


if __name__ == "__main__":
    main()
