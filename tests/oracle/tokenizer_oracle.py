"""Bar 4: graft's tokenizer against `tokenizers`: ids, decodings, offsets, long texts, speed.

Usage: tokenizer_oracle.py TOKENIZER_DUMP VOCABULARIES SMOLLM2_GGUF [TEXTS]
TOKENIZER_DUMP is the built program tests/oracle/tokenizer_dump; VOCABULARIES the folder of llama.cpp's ggml-vocab-*.gguf. TEXTS: 10000.
"""
import json
import os
import subprocess
import sys
import tempfile
import time
import unicodedata
from itertools import accumulate
from pathlib import Path

os.environ["TOKENIZERS_PARALLELISM"] = "false"
from tokenizers import Tokenizer  # noqa: E402

from tokenizer_files import all_files, flags_file, gguf_files  # noqa: E402
from tokenizer_texts import make_texts, megabyte  # noqa: E402

good = True


def report(name, figure, bound, holds):
    global good
    good = good and bool(holds)
    print(f"{name} | {figure} | {bound} | {'holds' if holds else 'short'}", flush=True)


def graft(program, mode, file, lines, *more):
    data = "\n".join(json.dumps(line) for line in lines).encode()
    out = subprocess.run([program, mode, str(file), *more], input=data, stdout=subprocess.PIPE, check=True).stdout
    return [json.loads(line) for line in out.decode().split("\n") if line]


def first_difference(name, text, ours, theirs):
    print(f"  {name}: {text!r}\n    graft      {str(ours)[:600]}\n    tokenizers {str(theirs)[:600]}", file=sys.stderr)


def char_offsets(text, offsets):
    """Byte ranges as the ranges of characters they touch."""
    starts = [0, *accumulate(len(c.encode()) for c in text)]
    begin_of = {byte: i for i, byte in enumerate(starts)}
    floor = [0] * (starts[-1] + 1)
    for i, (a, b) in enumerate(zip(starts, starts[1:])):
        floor[a:b] = [i] * (b - a)
    floor[starts[-1]] = len(text)
    return [(floor[a], begin_of.get(b, floor[b - 1] + 1 if b else 0)) for a, b in offsets]


class Comparison:
    def __init__(self, program, name, file, theirs, plain_offsets):
        self.program, self.name, self.file, self.theirs, self.plain_offsets = program, name, file, theirs, plain_offsets
        self.wrong = dict.fromkeys(("ids", "decoded", "round trip", "offsets"), 0)
        self.shown = 0

    def note(self, kind, text, ours, theirs):
        if ours == theirs:
            return
        self.wrong[kind] += 1
        if self.shown < 5:
            self.shown += 1
            first_difference(f"{self.name} {kind}", text, ours, theirs)

    def run(self, texts, add_special, parse_special):
        self.theirs.encode_special_tokens = not parse_special
        lines = [{"text": text, "add_special": add_special, "parse_special": parse_special} for text in texts]
        for text, ours in zip(texts, graft(self.program, "encode", self.file, lines), strict=True):
            encoding = self.theirs.encode(text, add_special_tokens=add_special)
            self.note("ids", text, ours.get("ids", ours), encoding.ids)
            if ours.get("ids") != encoding.ids:
                continue
            for key, skip in (("text", False), ("skipped", True)):
                self.note("decoded", text, ours[key], self.theirs.decode(encoding.ids, skip_special_tokens=skip))
            if self.plain_offsets:
                normal = unicodedata.normalize("NFC", text) if self.theirs.normalizer else text
                if not add_special:
                    self.note("round trip", text, ours["text"], normal)
                if normal == text:
                    self.note("offsets", text, char_offsets(text, ours["offsets"]), encoding.offsets)
        return len(texts)

    def decode_random_ids(self, texts):
        """Ids in an order no text has: broken characters, byte tokens, special ones."""
        ids = [[(i * 7919 + len(text) * 104729) % self.theirs.get_vocab_size() for i in range(len(text) % 40)] for text in texts]
        for line, ours in zip(ids, graft(self.program, "decode", self.file, ids), strict=True):
            self.note("decoded", line, ours["text"], self.theirs.decode(line, skip_special_tokens=False))
            self.note("decoded", line, ours["skipped"], self.theirs.decode(line, skip_special_tokens=True))
            self.note("decoded", line, ours["stream"], ours["text"])


def compare(program, name, file, theirs, texts, plain_offsets):
    comparison = Comparison(program, name, file, theirs, plain_offsets)
    count = comparison.run(texts, add_special=False, parse_special=True)
    comparison.run(texts[::5], add_special=True, parse_special=True)
    comparison.run(texts[::5], add_special=False, parse_special=False)
    comparison.decode_random_ids(texts[::20])
    for kind, wrong in comparison.wrong.items():
        if kind in ("round trip", "offsets") and not plain_offsets:
            continue
        report(f"tokenizer {name}: {kind} unlike tokenizers', of {count} texts", wrong, 0, wrong == 0)


def processor_seconds(call):
    start = time.process_time()
    call()
    return time.process_time() - start


def long_texts(program, name, file, theirs):
    """Processor time, so that a busy machine changes nothing."""
    theirs.encode_special_tokens = False
    for what, text in (("1 MB on one line", megabyte()), ("131072 x 'a'", "a" * 131072), ("131072 x ' '", " " * 131072),
                       ("131072 x '中'", "中" * 131072)):
        seconds = graft(program, "time", file, [{"text": text}], "2")[0]["seconds"]
        equal = graft(program, "encode", file, [{"text": text}])[0].get("ids") == theirs.encode(text, add_special_tokens=False).ids
        report(f"tokenizer {name}: {what}, seconds (ids equal: {equal})", f"{seconds:.3f}", "< 1", equal and seconds < 1)


def speed(program, name, file, theirs):
    """Natural lines of the megabyte; both warm, one thread, processor time of the best of five passes."""
    words = megabyte().split(" ")
    texts = [" ".join(words[i:i + 40]) for i in range(0, len(words), 40)]
    ours = graft(program, "time", file, [{"text": text} for text in texts], "5")[0]["seconds"]
    batch = min(processor_seconds(lambda: theirs.encode_batch_fast(texts, add_special_tokens=False)) for _ in range(5))
    report(f"tokenizer {name}: speed over tokenizers, one thread", f"{batch / ours:.2f}", ">= 1", batch >= ours)
    print(f"  ({sum(len(t.encode()) for t in texts) / 1e6 / ours:.1f} MB/s against {1 / batch:.1f})", file=sys.stderr)


def main(program, vocabularies, smollm2, count=10000):
    with tempfile.TemporaryDirectory() as folder:
        built = Path(folder) / "smollm2.json"
        built.write_bytes(subprocess.run([program, "json", smollm2], stdout=subprocess.PIPE, check=True).stdout)
        jobs = [("smollm2", smollm2, built)]
        objects = all_files(Path(vocabularies))
        objects["qwen-flags"] = flags_file(objects["qwen"])
        objects["llama2-flags"] = flags_file(objects["llama2"])
        objects |= gguf_files(Path(vocabularies))
        for name, value in objects.items():
            vocabulary, value = value if isinstance(value, tuple) else (None, value)
            file = Path(folder) / f"{name}.json"
            file.write_text(json.dumps(value, ensure_ascii=False), encoding="utf-8")
            jobs.append((name, vocabulary or file, file))
        for name, ours, file in jobs:
            theirs = Tokenizer.from_file(str(file))
            specials = [token.content for token in theirs.get_added_tokens_decoder().values()][-60:]
            texts = list(make_texts(int(count), specials))
            byte_level = not name.startswith(("llama2", "bert"))
            compare(program, name, ours, theirs, texts, plain_offsets=byte_level and "flags" not in name)
            if "flags" not in name and "gguf" not in name:
                long_texts(program, name, ours, theirs)
                speed(program, name, ours, theirs)
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main(*sys.argv[1:])
