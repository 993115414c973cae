"""The second process of the demo: the same questions, with nothing but the directory."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from infercache.demo import language


def main(arguments: Sequence[str], advance: Callable[[], None] = lambda: None) -> str:
    """Return the answers as JSON; `arguments` are the cache, the models and perhaps --quick."""
    home, models = map(Path, arguments[:2])
    quick = "--quick" in arguments
    model, tokenizer = language.load_model(models)
    questions, handbook, new_tokens = language.workload(quick=quick)
    with language.open_demo_cache(home) as cache:
        asker = language.attach(model, tokenizer, cache, handbook, new_tokens)
        return language.as_json(asker.ask_all(questions, advance))


if __name__ == "__main__":
    print(main(sys.argv[1:]))
