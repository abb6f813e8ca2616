"""graft's tokenizers against `tokenizers`, for every component that it has (trained_files.py): ids, offsets, decodings, type ids of texts and
pairs; long texts; speed.

Usage: trained_oracle.py TOKENIZER_DUMP VOCABULARIES [--all | --count TEXTS] [--only NAME]
VOCABULARIES: the folder of llama.cpp's ggml-vocab-*.gguf. --all: 10,000 texts each, all of Unicode, long texts, and speed.
"""
import argparse
import os
import sys
import tempfile
from pathlib import Path

os.environ["TOKENIZERS_PARALLELISM"] = "false"
from tokenizers import Tokenizer  # noqa: E402

import tokenizer_oracle as base  # noqa: E402
import wordpiece_oracle  # noqa: E402
from tokenizer_texts import make_texts  # noqa: E402
from trained_files import all_characters, all_tokenizers  # noqa: E402
from wordpiece_oracle import every_character  # noqa: E402

TIMED = ("t5", "xlm-r", "unigram-bytes", "llama2", "gemma", "words")
# What stands for several characters comes from all of them in graft, from the last one or one each in `tokenizers`.
SEVERAL = ("t5", "xlm-r", "letters", "clip", "prefixed", "characters-charsmap")


class Comparison(wordpiece_oracle.Comparison):
    def same_offsets(self, ours, theirs):
        return all(self.same_range(*pair) for pair in zip(ours, theirs, strict=True))

    def comparable(self, text):
        """Where a character at the front is nothing once normalized, `tokenizers` counts all that follow as one earlier."""
        normalizer = self.theirs.normalizer
        return not (text and normalizer and self.name in ("t5", "xlm-r") and normalizer.normalize_str(text[0]) == "")

    def same_range(self, ours, theirs):
        """Known differences, beside SEVERAL: a sign that was put before the text comes from nowhere, not from the first character; a byte
        of a run of unknown characters comes from its own, not from the whole run."""
        within = lambda a, b: b[0] <= a[0] and a[1] <= b[1]
        if ours == theirs or ours[0] == ours[1] and within(ours, theirs):
            return True
        return self.name == "unigram-bytes" and within(ours, theirs) or self.name in SEVERAL and within(theirs, ours)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("vocabularies", type=Path)
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--count", type=int, default=400)
    parser.add_argument("--only")
    options = parser.parse_args()
    tokenizers = all_tokenizers(options.vocabularies) | (all_characters(options.vocabularies) if options.all else {})
    with tempfile.TemporaryDirectory() as folder:
        for name, theirs in tokenizers.items():
            if options.only not in (None, name):
                continue
            file = Path(folder) / f"{name}.json"
            theirs.save(str(file))
            theirs = Tokenizer.from_file(str(file))
            specials = [token.content for token in theirs.get_added_tokens_decoder().values()]
            count = 10000 if options.all else options.count
            comparison = Comparison(options.program, name, file, theirs)
            if name.startswith("characters"):
                wordpiece_oracle.compare(comparison, every_character(), pairs=False)
                continue
            wordpiece_oracle.compare(comparison, list(make_texts(count, specials)))
            if options.all and name in TIMED:
                base.long_texts(options.program, name, file, theirs)
                base.speed(options.program, name, file, theirs)
    sys.exit(0 if base.good else 1)


if __name__ == "__main__":
    main()
