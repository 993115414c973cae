"""What an attached model did and saved."""

from __future__ import annotations

from dataclasses import dataclass, field

from infercache.reuse.prefixes.store import BlockCounts


@dataclass(frozen=True, slots=True)
class CallReport:
    """One call of `generate` or `prefill`.

    Attributes:
        restored_tokens: Prompt tokens whose keys and values were restored.
        computed_tokens: Prompt tokens that were computed.
        lookup_s: Seconds for finding and restoring blocks.
        prefill_s: Seconds from the call until the last layer had seen the prompt.
        store_s: Seconds for keeping new blocks, after the answer.
        seconds: Seconds for the whole call.
        bypass: Why the call went straight to the model; "" if it did not.
    """

    restored_tokens: int = 0
    computed_tokens: int = 0
    lookup_s: float = 0.0
    prefill_s: float = 0.0
    store_s: float = 0.0
    seconds: float = 0.0
    bypass: str = ""


@dataclass(slots=True)
class PrefixStats:
    """Counts since the model was attached.

    Attributes:
        prompts: Prompts that took part, each row of a batch for itself.
        tokens_restored: Prompt tokens whose keys and values were restored.
        tokens_computed: Prompt tokens that were computed.
        blocks: What happened to blocks.
        bypasses: Calls that went straight to the model, by reason.
        computed_s: Seconds of computing those prompts for which nothing was restored.
        cold_tokens: Tokens of those prompts.
        restore_s: Seconds of finding and restoring blocks.
    """

    prompts: int = 0
    tokens_restored: int = 0
    tokens_computed: int = 0
    blocks: BlockCounts = field(default_factory=BlockCounts)
    bypasses: dict[str, int] = field(default_factory=dict)
    computed_s: float = 0.0
    cold_tokens: int = 0
    restore_s: float = 0.0

    @property
    def tokens_per_s(self) -> float:
        """Return the measured speed of computing a prompt without a prefix; 0.0 if unknown."""
        return self.cold_tokens / self.computed_s if self.computed_s else 0.0

    @property
    def saved_s(self) -> float:
        """Return an estimate of the seconds saved: restored tokens at that speed, less restoring.

        0.0 until a prompt was computed without a prefix, since the speed is unknown until then.
        """
        if not self.tokens_per_s:
            return 0.0
        return max(self.tokens_restored / self.tokens_per_s - self.restore_s, 0.0)

    def add(self, report: CallReport, prompts: int) -> None:
        """Count one call."""
        if report.bypass:
            self.bypasses[report.bypass] = self.bypasses.get(report.bypass, 0) + 1
            return
        self.prompts += prompts
        self.tokens_restored += report.restored_tokens
        self.tokens_computed += report.computed_tokens
        self.restore_s += report.lookup_s
        if not report.restored_tokens:
            self.computed_s += report.prefill_s
            self.cold_tokens += report.computed_tokens
