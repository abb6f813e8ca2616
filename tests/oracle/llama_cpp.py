"""What graft exports as GGUF, in llama.cpp itself (benchmarks/acceptance/llama_cpp.sh builds it): merged models and adapters of short runs.

Usage: llama_cpp.py GRAFT MODEL_DUMP LLAMA_ORACLE SMOLLM2.gguf [--only WORD]
Tokens are greedy ones in fp32 on both sides; losses are of the next token, over this repository's own pages.
"""
import argparse
import random
import subprocess
import tempfile
from pathlib import Path

import torch

from adapter_training import graft_job, train_with_graft, write_data
from families import write_model
from family_cases import CASES, SHAPE, VOCABULARY, WIDE, Case, rope
from graft_program import graft_greedy, graft_logits, run
from reference import Summary, read_json, write_json
from texts import encoder

NEW_TOKENS = 32
ROOT = Path(__file__).resolve().parents[2]
WIDE_LLAMA = Case("llama, rows of whole blocks", "Llama", dict(hidden_size=256, intermediate_size=512, num_attention_heads=8))
MORE = [WIDE_LLAMA, Case("llama", "Llama"), Case("llama, biases, tied", "Llama", dict(attention_bias=True, mlp_bias=True, tie_word_embeddings=True)),
        Case("llama3", "Llama", rope("llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=8192)),
        Case("qwen2", "Qwen2"), Case("qwen3", "Qwen3", dict(WIDE, tie_word_embeddings=True)), Case("olmo2, tied", "Olmo2", dict(tie_word_embeddings=True))]
WITH_WORDS = ["q_proj", "k_proj", "v_proj", "embed_tokens"]
CASES_OF_CASES = ("llama, yarn", "mistral, no window")


class Llama:
    def __init__(self, program, work):
        self.program, self.ids = program, Path(work) / "ids.txt"

    def ask(self, verb, *arguments):
        done = subprocess.run([self.program, verb, *map(str, arguments)], capture_output=True, text=True)
        return done.stdout if done.returncode == 0 else f"llama.cpp: {done.stderr.strip().splitlines()[-1]}"

    def write(self, texts):
        self.ids.write_text("".join(" ".join(map(str, ids)) + "\n" for ids in texts))
        return self.ids

    def greedy(self, model, prompts, *lora):
        said = self.ask("greedy", model, NEW_TOKENS, self.write(prompts), *lora)
        return [[int(i) for i in line.split()] for line in said.splitlines()] if not said.startswith("llama.cpp") else said

    def loss(self, model, texts, *lora):
        return float(self.ask("loss", model, self.write(texts), *lora))


def loss_of(logits, texts):
    """Of the next token, the mean over all texts."""
    parts = [torch.nn.functional.cross_entropy(rows[:-1].double(), torch.tensor(ids[1:]), reduction="sum") for rows, ids in zip(logits, texts, strict=True)]
    return float(sum(parts)) / sum(len(ids) - 1 for ids in texts)


class Exports:
    """A short run of a model, and what graft makes of it."""
    def __init__(self, graft, dump, llama, summary, work):
        self.graft, self.dump, self.llama, self.summary, self.work = graft, dump, llama, summary, Path(work)

    def train(self, name, base, adapter, data, rate, steps):
        out = self.work / f"{name}-run"
        train_with_graft(self.graft, self.work, name, graft_job(base, {"method": "lora", "rank": 8, **adapter}, data, out, rate, steps))
        return out

    def export(self, target, flag, name, *more):
        file = self.work / name
        run([self.graft, "export", target, flag, file, "--no-verify", *more])
        return file

    def compare(self, what, base, trained, prompts):
        """32 tokens of the base with its live adapter, of the merged files, and of the base's file with the adapter's."""
        ours = graft_greedy(self.dump, base, prompts, NEW_TOKENS, trained / "adapter")
        logits = graft_logits(self.dump, base, [a + b for a, b in zip(prompts, ours, strict=True)], trained / "adapter")

        def agrees(prompt, made, theirs, logits):
            """Ours may end where the model ended its text. Two tokens whose logits differ by less than f16 rounds are one choice."""
            at = next((i for i, (a, b) in enumerate(zip(made, theirs)) if a != b), None)
            if at is None:
                return True
            row = logits[len(prompt) + at - 1]
            return bool(row[made[at]] - row[theirs[at]] < 1e-3 * (row.max() - row.min()))

        def same(theirs):
            return theirs if isinstance(theirs, str) else sum(map(agrees, prompts, ours, theirs, logits))

        files = {"f32": [self.export(trained, "--gguf", "f32.gguf", "--type", "f32")], "f16": [self.export(trained, "--gguf", "f16.gguf", "--type", "f16")],
                 "adapter": [self.export(base, "--gguf", "base.gguf", "--type", "f32"), self.export(trained, "--gguf-adapter", "adapter.gguf")]}
        counts = [same(self.llama.greedy(model, prompts, *lora)) for model, *lora in files.values()]
        self.summary.line(f"llama.cpp, {what}: prompts of {NEW_TOKENS} equal greedy tokens (f32, f16, base + adapter)", ", ".join(map(str, counts)), len(prompts),
                          all(count == len(prompts) for count in counts))
        texts = [a + b for a, b in zip(prompts, ours, strict=True)]
        live = loss_of(logits, texts)
        apart = max(abs(self.llama.loss(model, texts, *lora) - live) for name, (model, *lora) in files.items() if name != "f16")
        without = abs(self.llama.loss(files["adapter"][0], texts) - live)
        self.summary.line(f"llama.cpp, {what}: loss apart from the live adapter's ({without:.2g} without it)", apart, 1e-3, apart <= 1e-3 < without)

    def compare_types(self, what, trained, texts):
        """Losses of each block type's file beside those of llama.cpp's own quantiser, of the same merged model."""
        exact = self.export(trained, "--gguf", "exact.gguf", "--type", "f32")
        loss = self.llama.loss(exact, texts)
        half = self.llama.loss(self.export(trained, "--gguf", "half.gguf", "--type", "f16"), texts)
        for type_ in ("q8_0", "q4_k", "q4_0"):
            theirs = self.work / "theirs.gguf"
            self.llama.ask("quantize", exact, theirs, type_)
            own, other = (self.llama.loss(file, texts) - loss for file in (self.export(trained, "--gguf", "ours.gguf", "--type", type_), theirs))
            bound = abs(other) + abs(half - loss) + 1e-3   # f16's own distance: what a file loses without any blocks
            self.summary.line(f"llama.cpp, {what}: loss of {type_} over f32's {loss:.4f} (its own quantiser's: {other:+.4f})", f"{own:+.4f}", f"<= {bound:.4f}", own <= bound)


def small_models(exports, only):
    data = write_data(exports.work)
    chance = random.Random(5)
    for case in MORE + [case for case in CASES if case.gguf or case.name in CASES_OF_CASES]:
        if only not in case.name:
            continue
        base = exports.work / "base"
        write_model(case, base, 3)
        config = read_json(base / "config.json")
        write_json(base / "config.json", {**config, "eos_token_id": None})   # no text ends early
        trained = exports.train("small", base, {"target_modules": WITH_WORDS if case.name == "llama" else "all-linear"}, data, 5e-2, 12)
        prompts = [[chance.randrange(3, VOCABULARY) for _ in range(length)] for length in (3, 12, 30)]
        exports.compare(case.name, base, trained, prompts)
        if case is WIDE_LLAMA:
            exports.compare_types(case.name, trained, [[chance.randrange(3, VOCABULARY) for _ in range(200)] for _ in range(8)])


def pages(encode, tokens=512, count=6):
    text = "".join((ROOT / "docs" / name).read_text() for name in ("design.md", "adapters.md", "quantization.md"))
    ids = encode(text)
    return [ids[i * tokens:(i + 1) * tokens] for i in range(count)]


def smollm2(exports, model):
    data = ROOT / "tests" / "golden" / "tiny_chat" / "data" / "train.jsonl"
    trained = exports.train("smollm2", model, {"target_modules": "all-linear"}, data, 2e-4, 4)
    encode = encoder(model)
    prompts = [encode(text) for text in ("The capital of France is", "def fibonacci(n):\n", "Once upon a time, in a small village,")]
    exports.compare("SmolLM2", model, trained, prompts)
    exports.compare_types("SmolLM2", trained, pages(encode))
    texts = ["Hello, World! I'm can't WE'RE", "naïve café 日本語 🦙 1234", "<|im_start|>user Hi<|im_end|>", "  two  spaces"]
    file = exports.work / "texts.txt"
    file.write_text("".join(text + "\n" for text in texts))
    theirs = [[int(i) for i in line.split()] for line in exports.llama.ask("tokenize", exports.work / "half.gguf", file).splitlines()]
    ours = [encode(text) for text in texts]
    exports.summary.line("llama.cpp, SmolLM2: texts of equal ids", sum(a == b for a, b in zip(ours, theirs)), len(texts), ours == theirs)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("graft"), parser.add_argument("dump"), parser.add_argument("oracle"), parser.add_argument("model")
    parser.add_argument("--only", default="")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        summary = Summary()
        exports = Exports(given.graft, given.dump, Llama(given.oracle, work), summary, work)
        small_models(exports, given.only)
        if given.only in ("", "smollm2"):
            smollm2(exports, given.model)
        summary.exit()
