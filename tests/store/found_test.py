#!/usr/bin/env python3
"""Models in the stores of Ollama, LM Studio and the Hugging Face cache: found, used where they lie,
never changed; and E1: links and manifests that lead out of those stores lead to nothing.

Usage: found_test.py RECKON [TEST...]
"""

import hashlib
import json
import os

from store_harness import StoreTests, main

MODEL_LAYER = "application/vnd.ollama.image.model"
COMMIT = "b" * 40


class Found(StoreTests):
    def setUp(self):
        super().setUp()
        self.sha256 = hashlib.sha256(self.data).hexdigest()
        self.ollama = self.folder / ".ollama" / "models"
        self.lm_studio = self.folder / ".lmstudio" / "models"
        self.cache = self.folder / ".cache" / "huggingface" / "hub"

    def add_ollama(self, name="registry.ollama.ai/library/deepseek-r1/7b", digest=None,
                   layers=None):
        digest = digest or f"sha256:{self.sha256}"
        blob = self.ollama / "blobs" / f"sha256-{self.sha256}"
        blob.parent.mkdir(parents=True, exist_ok=True)
        if not blob.exists():
            blob.write_bytes(self.data)
        manifest = self.ollama / "manifests" / name
        manifest.parent.mkdir(parents=True, exist_ok=True)
        if layers is None:
            layers = [{"mediaType": "application/vnd.ollama.image.license",
                       "digest": "sha256:" + "0" * 64},
                      {"mediaType": MODEL_LAYER, "digest": digest, "size": len(self.data)}]
        manifest.write_text(json.dumps({"schemaVersion": 2, "layers": layers}))
        return manifest

    def add_cached(self, file="tiny-Q4_K_M.gguf", repository="models--owner--tiny-GGUF"):
        root = self.cache / repository
        blob = root / "blobs" / self.sha256
        blob.parent.mkdir(parents=True, exist_ok=True)
        blob.write_bytes(self.data)
        link = root / "snapshots" / COMMIT / file
        link.parent.mkdir(parents=True, exist_ok=True)
        os.symlink(os.path.relpath(blob, link.parent), link)
        (root / "refs").mkdir(exist_ok=True)
        (root / "refs" / "main").write_text(COMMIT)
        return link

    def everything(self):
        """Names, sizes and times of all that lies in the other programs' stores."""
        return sorted((str(path), path.lstat().st_size, path.lstat().st_mtime_ns)
                      for top in (self.ollama, self.lm_studio, self.cache)
                      for path in top.rglob("*"))

    def ask(self, name):
        return self.expect_json("ask", "-m", name, "--raw", "--temp", "0", "--ctx", "256",
                                "--max-tokens", "2", "hi")

    def test_ollama(self):
        self.add_ollama()
        self.add_ollama("registry.ollama.ai/someone/tiny/latest")
        self.add_ollama("hf.co/owner/tiny/Q8_0")
        before = self.everything()
        self.assertEqual(self.names(), ["ollama:deepseek-r1:7b", "ollama:hf.co/owner/tiny:Q8_0",
                                        "ollama:someone/tiny:latest"])
        self.ask("ollama:deepseek-r1:7b")
        self.ask("ollama:someone/tiny")
        # The catalog's name means the same weights there, and they are not pulled again.
        self.assertIn(self.sha256, self.expect_json("show", "r1:7b")["path"])
        self.assertEqual(self.expect_json("pull", "r1:7b")["origin"], "ollama")
        self.expect(0, "verify", "r1:7b")
        self.expect_error(2, "belongs to another program", "rm", "ollama:deepseek-r1:7b")
        self.assertEqual(self.everything(), before)
        self.assertEqual(self.hub.requests, [])

    def test_ollama_elsewhere(self):
        self.add_ollama()
        self.variables["OLLAMA_MODELS"] = str(self.ollama)
        self.variables["HOME"] = str(self.folder / "nobody")
        self.assertEqual(self.names(), ["ollama:deepseek-r1:7b"])

    def test_lm_studio(self):
        path = self.lm_studio / "publisher" / "tiny-GGUF" / "tiny-Q8_0.gguf"
        path.parent.mkdir(parents=True)
        path.write_bytes(self.data)
        (path.parent / "mmproj-model.gguf").write_bytes(self.data)
        (path.parent / "notes.txt").write_text("no model")
        before = self.everything()
        name = "lmstudio:publisher/tiny-GGUF/tiny-Q8_0.gguf"
        self.assertEqual(self.names(), [name])
        self.ask(name)
        self.expect(0, "verify", name)
        self.assertEqual(self.everything(), before)
        # The older place is looked at too; a name that both have is listed once.
        older = self.folder / ".cache" / "lm-studio" / "models" / "publisher" / "tiny-GGUF"
        older.mkdir(parents=True)
        for file in ("tiny-Q8_0.gguf", "tiny (1) Q4.gguf"):
            (older / file).write_bytes(self.data)
        self.assertEqual(self.names(), ["lmstudio:publisher/tiny-GGUF/tiny (1) Q4.gguf", name])
        self.ask("lmstudio:publisher/tiny-GGUF/tiny (1) Q4.gguf")

    def test_hub_cache(self):
        self.add_cached()
        before = self.everything()
        name = "hf:owner/tiny-GGUF/tiny-Q4_K_M.gguf"
        model = self.listed()["models"][0]
        self.assertEqual((model["name"], model["files"][0]["sha256"]), (name, self.sha256))
        self.ask(name)
        self.assertEqual(self.expect_json("pull", name)["origin"], "hub cache")
        self.assertEqual(self.everything(), before)
        self.assertEqual(self.hub.requests, [])

    def test_changed_blob_fails_verify(self):
        self.add_ollama()
        blob = next((self.ollama / "blobs").iterdir())
        blob.write_bytes(self.data[:-1] + bytes([self.data[-1] ^ 1]))
        self.expect_error(3, "expected SHA-256", "verify", "ollama:deepseek-r1:7b")

    def test_links_and_digests_that_lead_outside(self):
        secret = self.folder / "secret.gguf"
        secret.write_bytes(self.data)
        n_tried = 0
        # Digests that are paths.
        for i, digest in enumerate((
                "sha256:../../../secret.gguf", "sha256-../../secret.gguf", "../../secret.gguf",
                f"sha256:{'0' * 63}/", f"sha256:{'0' * 64}", "sha256:", "", "sha512:" + "0" * 128,
                f"sha256:{secret}", "sha256:" + "%2e" * 20, f"sha256:{self.sha256}/../x",
                f"sha256:{self.sha256}\0", f"sha256:{self.sha256[:-1]}")):
            self.add_ollama(f"registry.ollama.ai/library/bad/{i}", digest=digest or "x")
            n_tried += 1
        for i, layers in enumerate((
                [{"mediaType": MODEL_LAYER}], [{"mediaType": MODEL_LAYER, "digest": 1}], [1], {},
                "x",
                [{"mediaType": MODEL_LAYER, "digest": f"sha256:{self.sha256}"}] * 2)):
            self.add_ollama(f"registry.ollama.ai/library/odd/{i}", layers=layers)
            n_tried += 1
        # Links out of each store: files, folders, manifests, blobs.
        links = [
            (self.ollama / "blobs" / ("sha256-" + "c" * 64), secret),
            (self.ollama / "manifests" / "registry.ollama.ai" / "library" / "link" / "1",
             self.folder / "manifest"),
            (self.ollama / "manifests" / "registry.ollama.ai" / "linked", self.folder / "tree"),
            (self.lm_studio / "p" / "r" / "x.gguf", secret),
            (self.lm_studio / "p" / "r" / "y.gguf", "../../../../secret.gguf"),
            (self.lm_studio / "p" / "r" / "z.gguf", "/dev/zero"),
            (self.lm_studio / "p" / "r" / "loop.gguf", "loop.gguf"),
            (self.lm_studio / "p" / "r" / "gone.gguf", "nothing.gguf"),
            (self.lm_studio / "p" / "r" / "folder.gguf", self.folder),
            (self.lm_studio / "p" / "linked", self.folder),
            (self.lm_studio / "linked", "/"),
            (self.cache / "models--a--b" / "snapshots" / COMMIT / "x.gguf", secret),
            (self.cache / "models--a--b" / "snapshots" / COMMIT / "y.gguf",
             "../../../../../../secret.gguf"),
            (self.cache / "models--a--b" / "snapshots" / COMMIT / "z.gguf",
             "../../../models--c--d/blobs/x"),
            (self.cache / "models--a--b" / "snapshots" / ("d" * 40), self.folder),
            (self.cache / "models--a--b" / "blobs", self.folder),
            (self.cache / "models--e--f", self.folder / "tree"),
            (self.cache / "models--..--..", self.folder),
        ]
        manifest = {"layers": [{"mediaType": MODEL_LAYER, "digest": f"sha256:{self.sha256}"}]}
        (self.folder / "manifest").write_text(json.dumps(manifest))
        (self.folder / "tree" / "library" / "x").mkdir(parents=True, exist_ok=True)
        (self.folder / "tree" / "library" / "x" / "1").write_text(json.dumps(manifest))
        (self.folder / "tree" / "t.gguf").write_bytes(self.data)
        for link, target in links:
            link.parent.mkdir(parents=True, exist_ok=True)
            os.symlink(target, link)
            n_tried += 1
        self.add_ollama("registry.ollama.ai/library/by-link/1", digest="sha256:" + "c" * 64)
        (self.cache / "models--a--b" / "refs").mkdir()
        (self.cache / "models--a--b" / "refs" / "main").write_text("../../..")
        listed = self.listed()
        self.assertEqual(listed["models"], [])
        self.assertGreaterEqual(len(listed["problems"]), 20)
        self.assertGreaterEqual(n_tried, 37)
        # What can't be used keeps nothing else from being found.
        self.add_ollama()
        self.add_cached()
        self.assertEqual(len(self.names()), 2)
        for path in ("secret.gguf", "manifest"):
            (self.folder / path).unlink()

    def test_links_in_reckons_own_store(self):
        """A store that someone else prepared reveals nothing and lets nothing be removed."""
        secret = self.folder / "secret.gguf"
        secret.write_bytes(self.data)
        outside = self.folder / "outside"
        outside.mkdir()
        (outside / "keep.gguf").write_bytes(self.data)
        self.pulled()
        folder = next(path for path in self.models.iterdir())
        weights = next(folder.glob("*.gguf"))
        record = (folder / "model.json").read_text()
        for target in (secret, "../../secret.gguf", "/etc/passwd", "/dev/zero", weights.name):
            weights.unlink()
            os.symlink(target, weights)
            for command in (("ask", "-m", "{}", "hi"), ("show", "{}"), ("verify", "{}")):
                run = self.run_reckon(*[part.format(self.names()[0]) for part in command])
                self.assertEqual(run.returncode, 3, (target, command, run.stderr))
                self.assertNotIn(b"root:", run.stdout + run.stderr)
            # Pulled again, the link is replaced.
            self.pulled()
            self.assertFalse(weights.is_symlink())
        (folder / "model.json").unlink()
        other = self.folder / "record.json"
        other.write_text(record)
        os.symlink(other, folder / "model.json")
        self.assertEqual(self.names(), [])
        os.symlink(outside, self.models / "linked-0123456789ab")
        (outside / "model.json").write_text(record)
        self.assertEqual(self.names(), [])
        (folder / "model.json").unlink()
        (folder / "model.json").write_text(record)
        os.symlink(outside, folder / "sub")
        self.expect(0, "rm", self.names()[0])
        self.assertTrue((outside / "keep.gguf").exists())
        self.assertTrue(secret.exists())
        secret.unlink()
        other.unlink()


if __name__ == "__main__":
    main()
