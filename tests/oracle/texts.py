"""Five fixed texts of different kinds and lengths, and their ids for any model: by its tokenizer, or made up where it has none."""
from pathlib import Path

from transformers import AutoConfig

from reference import tokenizer_from_gguf

STORY = ("The harbour lay quiet under a low grey sky. Two men were mending a net on the wall, and a third, older than either, sat on an "
         "upturned crate and told them how the storm of 1953 had carried nineteen boats over the breakwater in a single night. ")
TEXTS = [
    "Water boils at 100 degrees Celsius at sea level.",
    "def gcd(a, b):\n    while b:\n        a, b = b, a % b\n    return a\n\nprint(gcd(1071, 462))  # 21\n",
    "<|im_start|>user\nName three rivers of Europe.<|im_end|>\n<|im_start|>assistant\nThe Rhine, the Danube and the Volga.<|im_end|>\n",
    "Der Fluß fließt träge durchs Tal. Река течёт медленно. 川はゆっくり流れる。 ∑ x² ≤ 1 🙂",
    STORY + "He spoke slowly, and the gulls answered him. " + STORY.replace("two men", "three women").replace("1953", "1871"),
]


def encoder(model):
    """text -> ids. A model without a tokenizer gets ids made from the text's bytes."""
    model = Path(model)
    if model.suffix == ".gguf":
        tokenizer = tokenizer_from_gguf(model)
    elif (model / "tokenizer.json").exists():
        from tokenizers import Tokenizer
        tokenizer = Tokenizer.from_file(str(model / "tokenizer.json"))
    else:
        vocabulary = AutoConfig.from_pretrained(model).vocab_size
        return lambda text: [(7 * byte + i) % vocabulary for i, byte in enumerate(text.encode())]
    return lambda text: tokenizer.encode(text, add_special_tokens=False).ids


def fixed_ids(model):
    """The texts' ids, cut so that 64 more tokens fit into a tiny model's 256 positions."""
    encode = encoder(model)
    return [encode(text)[:190] for text in TEXTS]
