"""A GGUF that was fine-tuned and exported as GGUF, read by the gguf package: tokenizer and template byte for byte, tensors as types and shapes say.

Usage: gguf_round_trip.py GRAFT MODEL_DUMP MODEL.gguf
"""
import sys
import tempfile
from pathlib import Path

from gguf import GGUFReader

from adapter_training import graft_job, train_with_graft
from graft_program import graft_logits, run
from reference import Summary, largest_difference
from texts import fixed_ids

ROOT = Path(__file__).resolve().parents[2]


def tokenizer_bytes(reader):
    """What lies in the file behind each tokenizer key, in its order."""
    return {name: b"".join(part.tobytes() for part in field.parts) for name, field in reader.fields.items() if name.startswith("tokenizer.")}


def main(graft, dump, model):
    summary = Summary()
    with tempfile.TemporaryDirectory() as work:
        out, file = Path(work) / "run", Path(work) / "exported.gguf"
        data = ROOT / "tests" / "golden" / "tiny_chat" / "data" / "train.jsonl"
        train_with_graft(graft, work, "run", graft_job(model, {"method": "lora", "rank": 8}, data, out, 2e-4, 3))
        run([graft, "export", out, "--gguf", file, "--type", "f32"])
        before, after = GGUFReader(model), GGUFReader(str(file))
        kept, made = tokenizer_bytes(before), tokenizer_bytes(after)
        equal = sum(made.get(name) == value for name, value in kept.items())
        summary.line("GGUF in, GGUF out: tokenizer and template keys equal byte for byte, in their order", equal, f"all of {len(kept)}",
                     equal == len(kept) and list(kept) == list(made) and "tokenizer.chat_template" in kept)
        names = {tensor.name for tensor in before.tensors}
        summary.line("GGUF in, GGUF out: tensors by the gguf package", len(after.tensors), len(names), {tensor.name for tensor in after.tensors} == names)
        texts = fixed_ids(model)
        apart = largest_difference(graft_logits(dump, out, texts), graft_logits(dump, file, texts))
        summary.line("GGUF in, GGUF out: logits of the exported file against the live adapter", apart, 5e-4)
    summary.exit()


if __name__ == "__main__":
    main(*sys.argv[1:])
