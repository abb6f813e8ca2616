"""How the oracles call graft: the only place to change. `program` is build/dev/tests/model_dump, if nothing else is said:

  model_dump logits MODEL ids.json out.safetensors [ADAPTER]      fp32; tensors logits_0, logits_1, ... [time, vocab]
  model_dump logits RUN ids.json out.safetensors                  the same for a run's last step
  model_dump greedy MODEL ids.json COUNT out.json [ADAPTER]
ids files are JSON: a list of texts, each a list of token ids. The greedy output holds the new tokens only, one list a prompt.
"""
import json
import subprocess
import tempfile
from pathlib import Path

from safetensors.torch import load_file

from reference import read_json, write_json


def run(arguments):
    done = subprocess.run([str(a) for a in arguments], capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(map(str, arguments))} exited {done.returncode}:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")


def graft_logits(program, model, texts, adapter=None):
    """One [time, vocab] fp32 tensor a text."""
    with tempfile.TemporaryDirectory() as folder:
        ids, out = Path(folder) / "ids.json", Path(folder) / "logits.safetensors"
        write_json(ids, texts)
        run([program, "logits", model, ids, out, *([adapter] if adapter else [])])
        tensors = load_file(out)
    assert len(tensors) == len(texts), sorted(tensors)
    return [tensors[f"logits_{i}"] for i in range(len(texts))]


def graft_greedy(program, model, prompts, count, adapter=None):
    """The new tokens of each prompt, decoded greedily in fp32; shorter where the model ended its text."""
    with tempfile.TemporaryDirectory() as folder:
        ids, out = Path(folder) / "ids.json", Path(folder) / "out.json"
        write_json(ids, prompts)
        run([program, "greedy", model, ids, count, out, *([adapter] if adapter else [])])
        return read_json(out)


def graft_losses(program, job, run_folder):
    """The loss of each step of a job; `program` is graft itself."""
    run([program, "finetune", job, "--overwrite"])
    return [json.loads(line)["loss"] for line in (Path(run_folder) / "metrics.jsonl").read_text().splitlines() if '"gradient_norm"' in line]


def first_values(run_folder):
    """The adapter in the checkpoint of a run of one step, by graft's own names."""
    return load_file(Path(run_folder) / "checkpoints" / "step-1" / "adapter.safetensors")
