"""Writes tests/golden/tiny_chat/: the model of the program-level tests (finetune, resume, export). Run with .deps/venv/bin/python.

A random 2-layer llama (fp32, hidden 48, 6/2 heads, tied, vocab 320) with a real byte-level BPE tokenizer.json, a ChatML template in
tokenizer_config.json, and data/{train,val}.jsonl: "animal, food or tool?" in a few phrasings; val asks about the same
words in phrasings that train does not ask for that word. peft_training.py trains on it.
"""
import json
import random
import shutil
import sys
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

sys.path.insert(0, str(Path(__file__).resolve().parent))
from make_golden import ROPE, SHAPE, randomise  # noqa: E402
from reference import write_json  # noqa: E402
from transformers import LlamaConfig, LlamaForCausalLM  # noqa: E402

FOLDER = Path(__file__).resolve().parent / "tiny_chat"
SPECIALS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
TEMPLATE = ("{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}"
            "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}")
WORDS = {"animal": "cow dog cat owl".split(), "food": "pie jam egg nut".split(), "tool": "saw axe pin key".split()}
PHRASES = ["What is a {}?", "Tell me: {}", "{} is what?", "{}?", "Sort this: {}", "Name its kind: {}", "What kind is {}?"]


def conversations():
    pairs = [(phrase.format(word), label) for label, words in WORDS.items() for word in words for phrase in PHRASES]
    random.Random(7).shuffle(pairs)
    return [{"messages": [{"role": "user", "content": question}, {"role": "assistant", "content": label}]}
            for question, label in pairs]


def write_lines(path, samples):
    path.write_text("".join(json.dumps(sample) + "\n" for sample in samples))


def make_tokenizer(samples):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    texts = [f"{m['role']}\n{m['content']}\n" for sample in samples for m in sample["messages"]]
    trainer = trainers.BpeTrainer(vocab_size=320, special_tokens=SPECIALS, show_progress=False,
                                  initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()))
    tokenizer.train_from_iterator(texts, trainer)
    assert tokenizer.get_vocab_size() == 320, tokenizer.get_vocab_size()
    tokenizer.save(str(FOLDER / "tokenizer.json"))
    write_json(FOLDER / "tokenizer_config.json", {
        "add_bos_token": False, "bos_token": None, "chat_template": TEMPLATE, "clean_up_tokenization_spaces": False,
        "eos_token": "<|im_end|>", "model_max_length": 256, "pad_token": "<|endoftext|>",
        "tokenizer_class": "PreTrainedTokenizerFast", "unk_token": None})


def main():
    shutil.rmtree(FOLDER, ignore_errors=True)
    (FOLDER / "data").mkdir(parents=True)
    samples = conversations()
    train, val = samples[:64], samples[64:80]
    write_lines(FOLDER / "data" / "train.jsonl", train)
    write_lines(FOLDER / "data" / "val.jsonl", val)
    make_tokenizer(samples)
    model = LlamaForCausalLM(LlamaConfig(**{**SHAPE, "vocab_size": 320, "rope_parameters": dict(ROPE), "tie_word_embeddings": True,
                                            "bos_token_id": None, "eos_token_id": 2, "pad_token_id": 0}))
    randomise(model, torch.Generator().manual_seed(99))
    model.save_pretrained(FOLDER)
    (FOLDER / "model.safetensors").chmod(0o644)


if __name__ == "__main__":
    main()
