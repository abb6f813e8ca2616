"""The tiny models that bottleneck adapters are compared on: how AdapterHub loads one, what it is asked, what it is trained with."""
import json
import random
import shutil
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import AutoModelForSequenceClassification

from adapter_training import MODEL, SAMPLES, token_loss, write_data
from reference import load_model
from texts import fixed_ids

LETTERS = "abcdefghijklmnopqrstuvwxyz"
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *LETTERS, *("##" + letter for letter in LETTERS)]


class Llama:
    """tiny_chat: pre-norm, a logit a token."""
    name, model_section = "llama", {}

    def __init__(self, work):
        self.folder, self.data = MODEL, write_data(work)
        self.texts = fixed_ids(MODEL)

    def load(self):
        return load_model(self.folder)

    def rows(self, logits):
        return logits

    def loss(self, model):
        return token_loss(lambda ids: model(input_ids=ids, use_cache=False).logits)


class Bert:
    """tests/golden/bert_classifier behind a tokenizer of letters: post-norm, a head of three classes that trains along."""
    name = "bert"

    def __init__(self, work):
        self.folder, self.data = Path(work) / "bert", Path(work) / "texts.jsonl"
        shutil.copytree(MODEL.parent / "bert_classifier", self.folder, ignore=shutil.ignore_patterns("adapter", "golden*"))
        self.labels = list(json.loads((self.folder / "config.json").read_text())["id2label"].values())
        self.model_section = {"task": "sequence_classification", "labels": self.labels}
        chance = random.Random(3)
        word = lambda: "".join(chance.choices(LETTERS, k=chance.randint(2, 9)))   # noqa: E731
        samples = [(f"{word()} {word()}", chance.choice(self.labels)) for _ in range(SAMPLES)]
        self.data.write_text("".join(json.dumps({"text": text, "label": label}) + "\n" for text, label in samples))
        tokenizer = self.write_tokenizer()
        self.ids = [tokenizer.encode(text).ids for text, _ in samples]
        self.classes = torch.tensor([self.labels.index(label) for _, label in samples])
        self.texts = self.ids[:5]

    def write_tokenizer(self):
        tokenizer = Tokenizer(models.WordPiece({word: i for i, word in enumerate(WORDS)}, unk_token="[UNK]"))
        tokenizer.normalizer, tokenizer.pre_tokenizer = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
        tokenizer.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1",
                                                                 special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
        tokenizer.add_special_tokens(WORDS[:5])
        tokenizer.save(str(self.folder / "tokenizer.json"))
        names = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]", "mask_token": "[MASK]"}
        (self.folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "BertTokenizerFast", **names}))
        return tokenizer

    def load(self):
        return AutoModelForSequenceClassification.from_pretrained(self.folder)

    def rows(self, logits):
        """graft's tool gives a row a token; the class is told by the first."""
        return [rows[0] for rows in logits]

    def loss(self, model):
        longest = max(map(len, self.ids))
        ids = torch.tensor([row + [0] * (longest - len(row)) for row in self.ids])
        mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in self.ids])
        return lambda: torch.nn.functional.cross_entropy(model(input_ids=ids, attention_mask=mask).logits, self.classes)


FAMILIES = (Llama, Bert)
