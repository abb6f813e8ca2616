"""What is compared: each table's rows, the figures that they answer to, and which of them are drawn."""
from dataclasses import dataclass, field


@dataclass
class Row:
    keys: list          # of the job
    rates: list         # learning rates to choose from
    family: str = "other"
    sweep_seeds: tuple = (1,)   # over whose mean the rate is chosen: more where one run says little


@dataclass
class Table:
    title: str
    model: str          # which of the models that `run` is given
    data: str
    config: str
    rows: dict
    keys: tuple = ()                                 # of every row's job
    references: dict = field(default_factory=dict)   # row -> accuracy to reach
    near_full: tuple = ()                            # within a point of full tuning


def lora(method, rank, target, rates):
    return Row([f"adapter.method={method}", f"adapter.rank={rank}", f"adapter.alpha={2 * rank}", f"adapter.target_modules={target}"], rates, "low rank")


def bottleneck(method, factor, rates=(1e-3, 3e-3)):
    return Row([f"adapter.method={method}", f"adapter.reduction_factor={factor}"], list(rates), "bottlenecks")


def prompt(method, length, rates, *keys, sweep_seeds=(1,)):
    return Row([f"adapter.method={method}", f"adapter.num_virtual_tokens={length}", *keys], rates, "prompts", sweep_seeds)


def prompt_tuning(length, init):
    keys = ["adapter.init_text=Which kind of thing is it?"] if init == "text" else []
    rates = [1e-2, 3e-2, 1e-1] if length == 1 else [3e-2, 1e-1, 3e-1]   # a single vector at 0.3: 90.5 % with one seed, 61.0 % with the next
    return prompt("prompt_tuning", length, rates, f"adapter.init={init}", *keys, sweep_seeds=(1, 2))


MINILM_ROWS = {
    "full": Row(["adapter.method=full"], [5e-5, 1e-4, 2e-4]),
    "head": Row(["adapter.method=head"], [1e-3, 3e-3, 1e-2]),
    "head, mean pooling": Row(["adapter.method=head", "model.pooling=mean"], [3e-3, 1e-2, 3e-2]),
    "houlsby, width 6": bottleneck("houlsby", 64),
    "houlsby, width 24": bottleneck("houlsby", 16),
    "houlsby, width 96": bottleneck("houlsby", 4),
    "pfeiffer, width 24": bottleneck("pfeiffer", 16),
    "lora, rank 2, q and v": lora("lora", 2, "[query,value]", [1e-3, 3e-3, 6e-3]),
    "lora, rank 8, q and v": lora("lora", 8, "[query,value]", [1e-3, 3e-3, 6e-3]),
    "lora, rank 32, q and v": lora("lora", 32, "[query,value]", [1e-3, 3e-3]),
    "dora, rank 8, q and v": lora("dora", 8, "[query,value]", [1e-3, 3e-3, 6e-3]),
    "ia3": Row(["adapter.method=ia3"], [3e-3, 1e-2, 3e-2]),
    "prompt, 10": prompt("prompt_tuning", 10, [1e-2, 3e-2, 1e-1, 3e-1]),
    "prefix, 10 (p_tuning_v2)": prompt("p_tuning_v2", 10, [3e-3, 1e-2, 3e-2]),
}
MINILM_NEAR_FULL = ("houlsby, width 6", "houlsby, width 24", "houlsby, width 96", "pfeiffer, width 24", "lora, rank 2, q and v", "lora, rank 8, q and v",
                    "lora, rank 32, q and v")

# Verbs are told apart by the mean over a gloss's tokens, for which MiniLM was trained: from its first position's state alone, LoRA and bottlenecks stay
# 2 to 7 points behind full tuning in three epochs. LoRA sits on all linear layers there; its widest rank keeps to 4 % of the parameters. The narrowest
# bottleneck wants a rate of its own.
def verb_rows():
    rows = {name: row for name, row in MINILM_ROWS.items() if not name.startswith(("lora", "dora", "head, mean"))}
    rows["houlsby, width 6"] = bottleneck("houlsby", 64, (1e-3, 3e-3, 1e-2))
    for method, ranks in {"lora": (2, 8, 16), "dora": (8,)}.items():
        rows |= {f"{method}, rank {rank}, all linear": lora(method, rank, "all-linear", [1e-3, 3e-3]) for rank in ranks}
    return rows


VERBS_NEAR_FULL = tuple(name for name in verb_rows() if name.startswith(("houlsby", "pfeiffer", "lora")))

# transformers + PEFT, one seed, 3 epochs of batch 32; its linear probe; and for the prefix, which fails there, naive Bayes.
SIX_CLASSES_REFERENCES = {"full": 95.7, "lora, rank 8, q and v": 94.5, "prompt, 10": 93.3, "head, mean pooling": 92.8, "prefix, 10 (p_tuning_v2)": 84.5}

SMOLLM2_ROWS = {
    "full": Row(["adapter.method=full"], [2e-5, 5e-5, 1e-4]),
    "lora, rank 16": lora("lora", 16, "all-linear", [3e-4, 1e-3, 3e-3]),
    "dora, rank 16": lora("dora", 16, "all-linear", [3e-4, 1e-3, 3e-3]),
    **{f"prompt, {length}": prompt_tuning(length, "vocab") for length in (1, 5, 20, 100)},
    **{f"prompt, 5, {init}": prompt_tuning(5, init) for init in ("random", "text", "labels")},
    "p-tuning, 20": prompt("p_tuning", 20, [1e-3, 3e-3, 1e-2]),
    "prefix, 20": prompt("prefix_tuning", 20, [3e-4, 1e-3, 3e-3]),
    "prefix, 20 (p_tuning_v2)": prompt("p_tuning_v2", 20, [3e-3, 1e-2, 3e-2]),
}

TABLES = {
    "six_classes": Table("MiniLM, six classes of nouns' glosses", "minilm", "six_classes", "minilm.yaml", MINILM_ROWS, references=SIX_CLASSES_REFERENCES,
                         near_full=MINILM_NEAR_FULL),
    "verbs": Table("MiniLM, 15 classes of verbs' glosses", "minilm", "verbs", "minilm.yaml", verb_rows(), keys=("model.pooling=mean",),
                   near_full=VERBS_NEAR_FULL),
    "smollm2": Table("SmolLM2-135M, six classes as a chat", "smollm2", "six_classes_chat", "smollm2.yaml", SMOLLM2_ROWS,
                     near_full=("lora, rank 16", "dora, rank 16")),
}
# Of the table smollm2: the first beats the second by more than the seeds' spread.
BETTER = (("prompt, 20", "prompt, 1"), ("prompt, 5, labels", "prompt, 5, random"))
PROMPT_LENGTHS = ("prompt, 1", "prompt, 5", "prompt, 20", "prompt, 100")
PROMPT_INITS = ("prompt, 5, random", "prompt, 5, text", "prompt, 5, labels")   # beside sampled tokens
