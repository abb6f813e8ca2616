"""tokenizer.json files for the oracle, made from the vocabularies in llama.cpp's repository, not by graft's own builder."""
import json

import gguf

LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
QWEN2 = LLAMA3.replace("{1,3}", "")


def split(pattern):
    return {"type": "Sequence", "pretokenizers": [
        {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}, byte_level(False)]}


def byte_level(use_regex):
    return {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": use_regex}


def template(bos, bos_id):
    sequence = {"Sequence": {"id": "A", "type_id": 0}}
    return {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": bos, "type_id": 0}}, sequence], "pair": [sequence],
            "special_tokens": {bos: {"id": bos, "ids": [bos_id], "tokens": [bos]}}}


def fields(path):
    reader = gguf.GGUFReader(path)
    return lambda key: reader.fields["tokenizer.ggml." + key].contents()


def added(tokens, types):
    return [{"id": i, "content": tokens[i], "single_word": False, "lstrip": False, "rstrip": False, "normalized": False,
             "special": types[i] == 3} for i in range(len(tokens)) if types[i] == 3 or (types[i] == 4 and tokens[i] != f"[PAD{i}]")]


def byte_level_file(path, pretokenizer, normalizer=None, ignore_merges=False, bos=None):
    field = fields(path)
    tokens, types = field("tokens"), field("token_type")
    return {"version": "1.0", "truncation": None, "padding": None, "added_tokens": added(tokens, types), "normalizer": normalizer,
            "pre_tokenizer": pretokenizer, "post_processor": None if bos is None else template(tokens[bos], bos),
            "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
            "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None, "end_of_word_suffix": None,
                      "fuse_unk": False, "byte_fallback": False, "ignore_merges": ignore_merges,
                      "vocab": {token: i for i, token in enumerate(tokens)}, "merges": field("merges")}}


def merges_from_scores(tokens, scores):
    """A SentencePiece vocabulary's merges: every way to cut a token into two tokens, the best-scored first."""
    ids = {token: i for i, token in enumerate(tokens)}
    merges = []
    for token, i in ids.items():
        cuts = [(token[:k], token[k:]) for k in range(1, len(token)) if token[:k] in ids and token[k:] in ids]
        merges += [(scores[i], a, b) for a, b in sorted(cuts, key=lambda cut: (ids[cut[0]], ids[cut[1]]))]
    merges.sort(key=lambda merge: merge[0], reverse=True)
    return [[a, b] for _, a, b in merges]


def llama2_file(path, metaspace):
    """As Llama 2 has it (Prepend and Replace), or as later files do (Metaspace on the first piece only)."""
    field = fields(path)
    tokens, scores = field("tokens"), field("scores")
    names = {"<unk>": 0, "<s>": 1, "</s>": 2}
    old = {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "▁"},
                                               {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]}
    new = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": False}
    return {"version": "1.0", "truncation": None, "padding": None,
            "added_tokens": [{"id": i, "content": name, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False,
                              "special": True} for name, i in names.items()],
            "normalizer": None if metaspace else old, "pre_tokenizer": new if metaspace else None,
            "post_processor": template("<s>", 1),
            "decoder": {"type": "Sequence", "decoders": [
                {"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"},
                {"type": "Strip", "content": " ", "start": 1, "stop": 0}]},
            "model": {"type": "BPE", "dropout": None, "unk_token": "<unk>", "continuing_subword_prefix": None,
                      "end_of_word_suffix": None, "fuse_unk": True, "byte_fallback": True, "ignore_merges": False,
                      "vocab": {token: i for i, token in enumerate(tokens)}, "merges": merges_from_scores(tokens, scores)}}


def bert_file(path):
    """BERT's, from a vocabulary whose converter took "##" off and put ▁ before words."""
    field = fields(path)
    tokens, types = field("tokens"), field("token_type")
    plain = lambda token, kind: token if kind == 3 or token[:1] + token[-1:] == "[]" else token[1:] if token[:1] == "▁" else "##" + token
    cls, sep = field("cls_token_id"), field("seperator_token_id")
    return {"version": "1.0", "truncation": None, "padding": None, "added_tokens": added(tokens, types),
            "normalizer": {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True, "strip_accents": None, "lowercase": True},
            "pre_tokenizer": {"type": "BertPreTokenizer"},
            "post_processor": {"type": "BertProcessing", "cls": [tokens[cls], cls], "sep": [tokens[sep], sep]},
            "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
            "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100,
                      "vocab": {plain(token, kind): i for i, (token, kind) in enumerate(zip(tokens, types))}}}


def gguf_files(vocabularies):
    """name -> a vocabulary that graft reads itself, and its tokenizer.json as an object."""
    spm, bert = vocabularies / "ggml-vocab-llama-spm.gguf", vocabularies / "ggml-vocab-bert-bge.gguf"
    return {"llama2-gguf": (spm, llama2_file(str(spm), metaspace=False)), "bert-gguf": (bert, bert_file(str(bert)))}


def all_files(vocabularies):
    """name -> tokenizer.json as an object. `vocabularies`: the folder of ggml-vocab-*.gguf."""
    vocab = lambda name: str(vocabularies / f"ggml-vocab-{name}.gguf")
    return {
        "qwen": byte_level_file(vocab("qwen2"), split(QWEN2), {"type": "NFC"}),
        "llama3": byte_level_file(vocab("llama-bpe"), split(LLAMA3), ignore_merges=True, bos=128000),
        "llama2": llama2_file(vocab("llama-spm"), metaspace=False),
        "llama2-metaspace": llama2_file(vocab("llama-spm"), metaspace=True),
    }


def flags_file(base):
    """`base` with added tokens of every combination of flags."""
    file = json.loads(json.dumps(base))
    vocab, tokens = file["model"]["vocab"], file["added_tokens"]
    contents = [(f"<É{i}>" if i % 2 else f"flag{i}", i) for i in range(32)]
    contents += [("flag", 0), ("flag1x", 8), ("  ", 0), ("ﬁ", 8), ("a b", 0)]
    for content, flags in contents:
        free = max(len(vocab), *(token["id"] + 1 for token in tokens))
        tokens.append({"id": vocab.get(content, free), "content": content, "single_word": bool(flags & 1), "lstrip": bool(flags & 2),
                       "rstrip": bool(flags & 4), "normalized": bool(flags & 8), "special": bool(flags & 16)})
    return file
