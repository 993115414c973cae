"""How soon the first new token comes when 2,048 tokens of the prompt are known.

SmolLM2-135M on the CPU, float32. Compared with no cache, with the ideal (a forward pass of only
the new tokens over a `DynamicCache` that holds the others already), and with llama-cpp-python's
own caches on the same model file. "Restart" is measured in a new process for each round: its
first call for this prompt, after the model was loaded and warmed up on another prompt.

    python benchmarks/prefix.py [--rounds 5] [--json PATH]
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from measure import Result, report

SHARED, NEW = 2048, 32
MODELS = Path(tempfile.gettempdir()) / "infercache-models"
TEXT = Path(__file__).resolve().parent.parent / "LICENSE"


class FirstToken:
    """A streamer that notes when the first new token comes."""

    def __init__(self) -> None:
        self.at: list[float] = []

    def put(self, value: Any) -> None:
        """Called with the prompt, then with each token."""
        self.at.append(time.perf_counter())

    def end(self) -> None:
        """Called at the end."""


def shared_tokens(tokenizer: Any) -> list[int]:
    """Return 2,048 tokens of real text."""
    tokens: list[int] = tokenizer(TEXT.read_text() * 2).input_ids[:SHARED]
    assert len(tokens) == SHARED
    return tokens


def new_tokens(number: int) -> list[int]:
    """Return 32 tokens that no other round uses."""
    return [100 + (number * 997 + i * 31) % 40_000 for i in range(NEW)]


def first_token_s(model: Any, ids: Any, **kwargs: Any) -> float:
    """Return the seconds until `generate` gave the first new token."""
    streamer = FirstToken()
    began = time.perf_counter()
    model.generate(ids, max_new_tokens=1, do_sample=False, streamer=streamer, **kwargs)
    return streamer.at[1] - began


class Ideal:
    """A forward pass of only the new tokens, over keys and values that are there already."""

    def __init__(self, model: Any, shared: Any) -> None:
        import torch

        self.model = model
        with torch.no_grad():
            past = model(shared, use_cache=True, logits_to_keep=1).past_key_values
        self.sides = [(layer.keys, layer.values) for layer in past.layers]

    def cache(self) -> Any:
        """Return a `DynamicCache` with the shared tokens in place, without a copy."""
        from transformers import DynamicCache

        cache = DynamicCache(config=self.model.config)
        for layer, (keys, values) in zip(cache.layers, self.sides, strict=True):
            layer.lazy_initialization(keys, values)
            layer.keys, layer.values = keys, values
        return cache

    def forward_s(self, new: Any) -> float:
        """Return the seconds of the bare forward pass and the choice of the token."""
        import torch

        cache = self.cache()
        began = time.perf_counter()
        with torch.no_grad():
            logits = self.model(new, past_key_values=cache, logits_to_keep=1).logits
            int(logits[0, -1].argmax())
        return time.perf_counter() - began


def load() -> tuple[Any, Any]:
    """Return model and tokenizer."""
    import transformers

    from infercache.reuse.packaged_models import load_smollm2

    transformers.utils.logging.disable_progress_bar()
    return load_smollm2(copy_dir=MODELS)


def open_cache(directory: str | None) -> Any:
    """Return a cache in memory, over a disk if there is a directory."""
    import infercache as ic

    tiers = [ic.Memory("1GB")]
    return ic.Cache(*tiers, *([ic.Disk(directory, "2GB")] if directory else []))


def restart(directory: str, number: int) -> dict[str, float]:
    """Measure the first call of this process, whose prefix is on disk; print it as JSON."""
    import torch

    import infercache as ic

    model, tokenizer = load()
    shared = shared_tokens(tokenizer)
    first_token_s(model, torch.tensor([list(range(500, 700))]))
    with open_cache(directory) as cache:
        llm = ic.llm.attach(model, tokenizer, cache)
        ids = torch.tensor([shared + new_tokens(number)])
        ours = first_token_s(llm, ids)
        restored = llm.last.restored_tokens
    ideal = Ideal(model, ids[:, :SHARED])
    forwards = [ideal.forward_s(ids[:, SHARED:]) for _ in range(6)][1:]
    return {"ours": ours, "ideal": statistics.median(forwards), "restored": restored}


def in_memory(rounds: int, directory: str) -> tuple[list[Result], Any]:
    """Measure cold and warm calls of one process; leave the prefix in the directory."""
    import torch

    import infercache as ic

    model, tokenizer = load()
    shared = torch.tensor([shared_tokens(tokenizer)])
    ideal = Ideal(model, shared)
    times: dict[str, list[float]] = {
        name: [] for name in ("ours", "ideal", "ideal, through generate", "no cache")
    }
    with open_cache(directory) as cache:
        llm = ic.llm.attach(model, tokenizer, cache)
        llm.generate(shared, max_new_tokens=1, do_sample=False)
        for number in range(rounds + 2):
            new = torch.tensor([new_tokens(number)])
            ids = torch.cat([shared, new], dim=1)
            turn = {
                "ideal": ideal.forward_s(new),
                "ours": first_token_s(llm, ids),
                "ideal, through generate": first_token_s(model, ids, past_key_values=ideal.cache()),
            }
            assert llm.last.restored_tokens == SHARED, llm.last
            if number >= 2:
                for name, seconds in turn.items():
                    times[name].append(seconds)
        times["no cache"] = [first_token_s(model, ids) for _ in range(2)]
    question = f"first token, {SHARED} tokens from memory"
    return [make_result(question, times, 1 / 1.15)], (model, tokenizer)


def make_result(question: str, times: dict[str, list[float]], target: float) -> Result:
    """Return a result whose ratios are medians of paired rounds."""
    ours = times.pop("ours")
    medians = {name: statistics.median(values) for name, values in times.items()}
    ratios = {
        name: statistics.median(peer / mine for peer, mine in zip(values, ours, strict=False))
        for name, values in times.items()
    }
    spread = (max(ours) - min(ours)) / statistics.median(ours)
    return Result(question, statistics.median(ours), medians, ratios, target, spread=spread)


def after_restart(rounds: int, directory: str) -> Result:
    """Measure a new process for each round."""
    times: dict[str, list[float]] = {"ours": [], "ideal": []}
    for number in range(rounds):
        command = [sys.executable, __file__, "--restart", directory, str(1000 + number)]
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        measured = json.loads(output.splitlines()[-1])
        assert measured["restored"] == SHARED, measured
        for name in times:
            times[name].append(measured[name])
    return make_result(f"first token, {SHARED} tokens after a restart", times, 1 / 1.5)


def llama_cpp(rounds: int, tokenizer: Any, directory: str) -> dict[str, list[float]]:
    """Measure llama-cpp-python's own caches on the same file: cold, RAM, disk."""
    import llama_cpp

    from infercache.reuse.packaged_models import smollm2_path

    shared = shared_tokens(tokenizer)
    times: dict[str, list[float]] = {}
    makers: dict[str, Callable[[], Any]] = {
        "RAM cache": lambda: llama_cpp.LlamaRAMCache(2 << 30),
        "disk cache": lambda: llama_cpp.LlamaDiskCache(f"{directory}/llama", 2 << 30),
    }
    for name, make in makers.items():
        llama = llama_cpp.Llama(str(smollm2_path()), n_ctx=4096, n_threads=2, verbose=False)
        times.setdefault("llama.cpp, cold", []).append(_complete(llama, shared))
        llama.reset()
        llama.set_cache(make())
        _complete(llama, shared)
        for number in range(rounds):
            # Another prompt in between, so that the model's own state does not hold the prefix.
            _complete(llama, new_tokens(number + 500))
            key = f"llama.cpp, {name}"
            times.setdefault(key, []).append(_complete(llama, shared + new_tokens(number)))
        llama.close()
    return times


def _complete(llama: Any, tokens: list[int]) -> float:
    began = time.perf_counter()
    llama.create_completion(tokens, max_tokens=1, temperature=0.0)
    return time.perf_counter() - began


def main() -> None:
    """Run everything and print ours, the peers and the ratios."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json")
    parser.add_argument("--restart", nargs=2, metavar=("DIR", "NUMBER"))
    options = parser.parse_args()
    if options.restart:
        print(json.dumps(restart(options.restart[0], int(options.restart[1]))))
        return
    with tempfile.TemporaryDirectory(prefix="infercache-bench-") as directory:
        results, (_model, tokenizer) = in_memory(options.rounds, directory)
        results.append(after_restart(min(options.rounds, 5), directory))
        if importlib.util.find_spec("llama_cpp") is None:
            print("llama-cpp-python is not installed: not compared")
        else:
            peers = llama_cpp(min(options.rounds, 5), tokenizer, directory)
            for result in results:
                result.peers |= {name: statistics.median(peers[name]) for name in peers}
                result.ratios |= {name: result.peers[name] / result.ours for name in peers}
                result.notes["llama.cpp"] = (
                    "4-bit weights, its own kernels; caches save whole states"
                )
        report(results, "prefix", options.json)


if __name__ == "__main__":
    main()
