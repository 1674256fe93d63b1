"""One registered version as a folder that MLflow loads, and anybody who has NumPy.

The layout is MLflow's (`MLmodel`, `requirements.txt`, `python_env.yaml`; mlflow.org, "MLflow Models", storage format). The
`python_function` flavour takes the raw features and gives the registered model's own answers; `lightgbm` is the bare booster,
whose categories are codes.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Mapping
from importlib.resources import files as shelf_of

import yaml

from werk.core.canonical import JSON

DATA = "model"
_SIGNED = ("manifest.json", "manifest.sig", "manifest.pub")
_NEEDED = {"lightgbm": ("numpy", "scipy", "lightgbm"), "sklearn": ("numpy",), "per_key": ("numpy",)}


def mlflow_files(
    name: str, package: Mapping[str, bytes], *, run: str, python: str, distributions: Mapping[str, str], at: str
) -> Iterator[tuple[str, bytes]]:
    """Each file of the folder by its name; `package` holds what the registry stored, by name, already checked."""
    about = json.loads(package["model.json"])
    yield f"{DATA}/model.json", package["model.json"]
    yield f"{DATA}/model.bin", package["model.bin"]
    if about["format"] == "lightgbm":
        yield f"{DATA}/model.lgb", package["model.bin"].partition(b"\n")[2]
    yield from ((f"signed/{file}", package[file]) for file in _SIGNED)
    yield "code/predictor.py", (shelf_of("werk.pipelines.export") / "predictor.py").read_bytes()
    needed = [f"{one}=={distributions[one]}" for one in _NEEDED[about["format"]] if one in distributions]
    yield "requirements.txt", "".join(f"{line}\n" for line in needed).encode()
    yield "environment.txt", "".join(f"{one}=={distributions[one]}\n" for one in sorted(distributions)).encode()
    yield "python_env.yaml", _yaml({"python": python, "dependencies": ["-r requirements.txt"]})
    yield "MLmodel", _yaml(_described(name, about, run, python, distributions, at))


def _described(
    name: str, about: Mapping[str, object], run: str, python: str, distributions: Mapping[str, str], at: str
) -> dict[str, object]:
    flavours: dict[str, object] = {
        "python_function": {
            "loader_module": "predictor",
            "code": "code",
            "data": DATA,
            "env": {"virtualenv": "python_env.yaml"},
            "python_version": python,
        }
    }
    if about["format"] == "lightgbm":
        version = distributions.get("lightgbm", "")
        booster = {"data": f"{DATA}/model.lgb", "lgb_version": version, "model_class": "lightgbm.basic.Booster", "code": None}
        flavours["lightgbm"] = booster
    return {
        "artifact_path": name,
        "flavors": flavours,
        "model_uuid": uuid.uuid5(uuid.NAMESPACE_URL, f"{run}/{name}").hex,
        "run_id": run,
        "signature": {
            "inputs": json.dumps(_inputs(about), ensure_ascii=False),
            "outputs": json.dumps(_outputs(about)),
            "params": None,
        },
        "utc_time_created": at,
    }


def _inputs(about: Mapping[str, object]) -> list[JSON]:
    features, categories = about["features"], about["categories"]
    assert isinstance(features, list)
    assert isinstance(categories, dict)
    return [{"type": "string" if one in categories else "double", "name": one, "required": True} for one in features]


def _outputs(about: Mapping[str, object]) -> list[JSON]:
    classes = about.get("classes") or ()
    assert isinstance(classes, list | tuple)
    several = about["task"] == "multiclass"
    shape: list[JSON] = [-1, max(len(classes), 2)] if several else [-1]
    return [{"type": "tensor", "tensor-spec": {"dtype": "float64", "shape": shape}}]


def _yaml(tree: object) -> bytes:
    return yaml.safe_dump(tree, sort_keys=False, allow_unicode=True).encode()
