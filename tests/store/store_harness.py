"""What the store's tests share: the program with a store of its own and a hub to pull from."""

import json
import pathlib
import shutil
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "cli"))

import harness  # noqa: E402
from hub_server import Hub  # noqa: E402

REPOSITORY = "owner/tiny-GGUF"
FILE = "tiny-Q4_K_M.gguf"
PATH = f"{REPOSITORY}/{FILE}"
NAME = f"hf:{PATH}"


class StoreTests(harness.Tests):
    """Each test has an empty store and a hub with one small model."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.data = cls.model.read_bytes()

    def setUp(self):
        self.hub = Hub({PATH: self.data})
        self.addCleanup(self.hub.close)
        self.models = self.folder / "models"
        self.addCleanup(shutil.rmtree, self.models, True)
        for name in (".ollama", ".lmstudio", ".cache"):
            self.addCleanup(shutil.rmtree, self.folder / name, True)
        self.variables = {"RECKON_MODELS": str(self.models), "HF_ENDPOINT": self.hub.endpoint}

    def environment(self, **changes):  # pylint: disable=arguments-differ
        environment = super().environment(**(self.variables | changes))
        for name in ("HF_HOME", "HF_HUB_CACHE", "HF_TOKEN", "HF_TOKEN_PATH", "OLLAMA_MODELS",
                     "XDG_CACHE_HOME", "XDG_DATA_HOME"):
            if name not in self.variables and name not in changes:
                environment.pop(name, None)
        return environment

    def names(self):
        return [model["name"] for model in self.listed()["models"]]

    def listed(self):
        """Without the model that is part of the program."""
        listing = json.loads(self.expect(0, "list", "--json").stdout)
        listing["models"] = [m for m in listing["models"] if m["origin"] != "reckon"]
        return listing

    def stored(self):
        """Every file of the store but locks, as paths below it."""
        return sorted(str(path.relative_to(self.models)) for path in self.models.rglob("*")
                      if path.is_file() and path.name != ".lock")

    def pulled(self, name=NAME, data=None):
        """Pulls, and looks at every byte."""
        model = json.loads(self.expect(0, "pull", name, "--json").stdout)
        content = b"".join(pathlib.Path(file["path"]).read_bytes() for file in model["files"])
        self.assertEqual(content, self.data if data is None else data)
        return model


main = harness.main
