"""The identity of a model: everything that decides what it computes from an input.

A fingerprint covers the class, the configuration, the tree of modules with their plain
settings, the content of every parameter and buffer, and the state of its adapters. Reading all
weights takes about 0.2 s for each 500 MB, so a *stamp* is taken on every call instead, in about
a millisecond, and the weights are read again only if it changed.
"""

from __future__ import annotations

import inspect
import sys
import threading
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

from infercache.errors import UnsupportedModelError

# What the library writes into a configuration beside what decides the computation.
_VOLATILE_SETTINGS = frozenset(
    {
        "_commit_hash", "_model_name_or_path", "_name_or_path", "architectures", "dtype",
        "id2label", "label2id", "name_or_path", "output_attentions", "output_hidden_states",
        "problem_type", "quantization_config", "return_dict", "torch_dtype",
        "transformers_version", "use_cache",
    }
)  # fmt: skip
_PLAIN = (bool, int, float, str, type(None))
_SAMPLES = 16
_KNOWN_STATES = 8


class ModelIdentity:
    """Names a torch model by content; notices within a call when it became another model.

    Thread-safe. `current` costs about 1 ms for a model of 300 tensors when nothing changed,
    and one read of all weights when something did. States seen before (an adapter switched
    back) are recognised without reading the weights again.

    What a stamp notices: tensors replaced, moved or written through torch; writes that bypass
    torch's counters (`tensor.data`, another library), as far as they touch one of the 16
    values that are compared in each tensor; adapters switched, merged or rescaled; changes of
    the configuration; modules of another class. A write past torch into single values of a
    tensor can escape it: call `refresh` then.

    Args:
        model: A `torch.nn.Module`; it is not changed.
    """

    def __init__(self, model: Any) -> None:
        self._model = model
        self._lock = threading.Lock()
        self._known: OrderedDict[tuple[Any, ...], str] = OrderedDict()
        self._sampler = _Sampler()

    def stamp(self) -> tuple[Any, ...]:
        """Return something that equals the last stamp unless the model changed. About 1 ms."""
        tensors: list[Any] = []
        state: list[Any] = [repr(_settings(self._model))]
        for module in self._model.modules():
            fields = vars(module)
            state.append(type(module))
            if "merged_adapters" in fields:
                state.append(_adapter_state(module))
            for group in (fields["_parameters"], fields["_buffers"]):
                tensors += [tensor for tensor in group.values() if tensor is not None]
        marks = tuple((id(tensor), _version(tensor), tensor.data_ptr()) for tensor in tensors)
        return (*state, marks, self._sampler.sample(tensors, marks))

    def current(self) -> str:
        """Return the model's fingerprint, such as "llama-0123456789abcdef".

        Raises:
            UnsupportedModelError: its weights cannot be read.
        """
        with self._lock:
            stamp = self.stamp()
            known = self._known.get(stamp)
            if known is None:
                known = self._known[stamp] = fingerprint(self._model)
                while len(self._known) > _KNOWN_STATES:
                    self._known.popitem(last=False)
            else:
                self._known.move_to_end(stamp)
            return known

    def refresh(self) -> None:
        """Forget what is known, so that the next `current` reads all weights."""
        with self._lock:
            self._known.clear()


def fingerprint(model: Any) -> str:
    """Return the content fingerprint of a torch model. One read of all weights.

    Equal for equal models in every process; another one for another library version, class,
    configuration, dtype, weight, adapter or attention implementation.

    Raises:
        UnsupportedModelError: weights without readable content (offloaded to the meta
            device, or packed in a tensor type whose whole content is not known).
    """
    from infercache.keys.space import KeySpace

    content = {
        "libraries": _library_versions(model),
        "settings": _settings(model),
        "modules": [_module_state(name, module) for name, module in model.named_modules()],
        "tensors": dict(_readable_tensors(model)),
    }
    digest = KeySpace("", "infercache/model", "1").key(content).hex
    kind = getattr(getattr(model, "config", None), "model_type", None) or type(model).__name__
    return f"{kind}-{digest}"


def _library_versions(model: Any) -> list[tuple[str, str]]:
    """Return the versions of the libraries that the model's code is from, and of no other.

    What else happens to be imported must not count: it differs from process to process.
    """
    names = {type(module).__module__.partition(".")[0] for module in model.modules()} | {"torch"}
    loaded = [(name, sys.modules.get(name)) for name in sorted(names)]
    return [(name, str(getattr(module, "__version__", ""))) for name, module in loaded if module]


def _settings(model: Any) -> dict[str, str]:
    config = getattr(model, "config", None)
    if config is None:
        return {}
    plain = config.to_dict() if hasattr(config, "to_dict") else dict(vars(config))
    settings = {
        str(name): repr(value) for name, value in plain.items() if name not in _VOLATILE_SETTINGS
    }
    settings["attention"] = str(getattr(config, "_attn_implementation", None))
    settings["experts"] = str(getattr(config, "_experts_implementation", None))
    return dict(sorted(settings.items()))


def _module_state(name: str, module: Any) -> list[Any]:
    cls = type(module)
    plain = {
        field: value if isinstance(value, _PLAIN) else f"{value.__module__}.{value.__qualname__}"
        for field, value in vars(module).items()
        if not field.startswith("_")
        and field not in ("training", "name_or_path")
        and (isinstance(value, _PLAIN) or inspect.isfunction(value))
    }
    source = "" if cls.__module__.startswith(("torch.", "transformers.", "peft.")) else _source(cls)
    adapters = repr(_adapter_state(module)) if "merged_adapters" in vars(module) else ""
    return [name, f"{cls.__module__}.{cls.__qualname__}", plain, adapters, source]


def _source(cls: type) -> str:
    """Return the code of a class that no library's version number stands for."""
    try:
        return inspect.getsource(cls)
    except (OSError, TypeError):  # defined in a console: its name must do
        return ""


def _adapter_state(module: Any) -> tuple[Any, ...]:
    """Return what decides how an adapted layer computes (peft's tuner layers)."""
    return (
        tuple(getattr(module, "active_adapters", ())),
        tuple(module.merged_adapters),
        bool(getattr(module, "disable_adapters", False)),
        repr(sorted(getattr(module, "scaling", {}).items())),
    )


def _readable_tensors(model: Any) -> Iterator[tuple[str, Any]]:
    import torch

    plain = (torch.Tensor, torch.nn.Parameter, torch.nn.Buffer)
    for path, module in model.named_modules():
        fields = vars(module)
        for name, tensor in (*fields["_parameters"].items(), *fields["_buffers"].items()):
            if tensor is None:
                continue
            where = f"{path}.{name}" if path else name
            if tensor.device.type == "meta":
                raise UnsupportedModelError(
                    f"the weights {where!r} are not in memory (meta device): "
                    "load the model without offloading to use it with a cache"
                )
            if type(tensor) not in plain:
                raise UnsupportedModelError(
                    f"the weights {where!r} are a {type(tensor).__name__}, "
                    "whose whole content infercache cannot read"
                )
            yield where, tensor.detach()


def _version(tensor: Any) -> int:
    return -1 if tensor.is_inference() else int(tensor._version)


class _Sampler:
    """Reads a few values of each tensor, for writes that torch's counters do not see."""

    def __init__(self) -> None:
        self._marks: tuple[Any, ...] = ()
        self._views: dict[Any, list[Any]] = {}

    def sample(self, tensors: list[Any], marks: tuple[Any, ...]) -> bytes:
        """Return the bits of up to 16 values of each tensor."""
        import torch

        if marks != self._marks:
            self._views = {}
            for tensor in tensors:
                if tensor.device.type != "meta" and tensor.layout is torch.strided:
                    group = self._views.setdefault((tensor.dtype, tensor.device), [])
                    group.append(_spread(tensor))
            self._marks = marks
        with torch.no_grad():
            bits = [torch.cat(views).view(torch.uint8).cpu() for views in self._views.values()]
        return b"".join(part.numpy().tobytes() for part in bits)


def _spread(tensor: Any) -> Any:
    """Return a view of up to 16 values spread over the memory behind a tensor."""
    import torch

    held = tensor.untyped_storage().nbytes() // tensor.itemsize - tensor.storage_offset()
    numbers = min(tensor.numel(), held)
    flat = tensor.detach().as_strided((numbers,), (1,), tensor.storage_offset())
    few = flat[:: max(1, numbers // _SAMPLES)][:_SAMPLES]
    return few.view(torch.uint8) if tensor.itemsize == 1 else few
