"""Tokenizers trained on the spot with `tokenizers`, which together use every component that it has: models, normalizers, pre-tokenizers,
post-processors, decoders (WordPiece's other variants are in wordpiece_files.py)."""
import json

import gguf
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from wordpiece_files import corpus

SPECIALS = ["<s>", "<pad>", "</s>", "<unk>", AddedToken("<mask>", lstrip=True, special=True)]
BYTES = [f"<0x{byte:02X}>" for byte in range(256)]
N, P, D = normalizers, pre_tokenizers, decoders


def real_charsmap(vocabularies):
    """XLM-R's, from the file that llama.cpp has of its vocabulary."""
    field = gguf.GGUFReader(vocabularies / "ggml-vocab-nomic-bert-moe.gguf").fields["tokenizer.ggml.precompiled_charsmap"]
    return bytes(field.contents())


def charsmap(replacements):
    """SentencePiece's format, a block of the double array for every node."""
    nodes, units, texts = {b"": 0}, [0] * 256, b""
    prefixes = sorted({key.encode()[:n] for key in replacements for n in range(1, len(key.encode()) + 1)})
    places = {b"": 0}
    for prefix in prefixes:
        parent = prefix[:-1]
        if parent not in nodes or nodes[parent] == 0:
            nodes[parent] = len(units)
            units += [0] * 256
            units[places[parent]] |= (places[parent] ^ nodes[parent]) << 10
        places[prefix] = nodes[parent] ^ prefix[-1]
        units[places[prefix]] |= prefix[-1]
    for key, text in replacements.items():
        node = key.encode()
        if nodes.get(node, 0) == 0:
            nodes[node] = len(units)
            units += [0] * 256
            units[places[node]] |= (places[node] ^ nodes[node]) << 10
        units[places[node]] |= 1 << 8
        units[nodes[node]] = 1 << 31 | len(texts)
        texts += text.encode() + b"\0"
    return (4 * len(units)).to_bytes(4, "little") + b"".join(unit.to_bytes(4, "little") for unit in units) + texts


def unigram(normalizer, pre_tokenizer, decoder, post_processor=None, byte_fallback=False):
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizer, pre_tokenizer
    trainer = trainers.UnigramTrainer(vocab_size=3000, special_tokens=SPECIALS, unk_token="<unk>", shrinking_factor=0.5, n_sub_iterations=1,
                                      max_piece_length=12, show_progress=False)
    tokenizer.train_from_iterator(corpus()[::3], trainer)
    tokenizer.decoder, tokenizer.post_processor = decoder, post_processor or processors.ByteLevel(trim_offsets=False)
    return with_bytes(tokenizer) if byte_fallback else tokenizer


def with_bytes(tokenizer):
    """The same with the tokens <0xNN> at the end of its vocabulary, and without a third of its characters."""
    file = json.loads(tokenizer.to_str())
    model = file["model"]
    model["byte_fallback"] = True
    if model["type"] == "Unigram":
        model["vocab"] = [[piece, score] for piece, score in model["vocab"] if len(piece) != 1 or ord(piece) % 3 or piece == "▁"]
        model["vocab"] += [[token, 0.0] for token in BYTES]
    else:
        model["vocab"].update({token: len(model["vocab"]) + i for i, token in enumerate(BYTES)})
    return Tokenizer.from_str(json.dumps(file))


def word_level(normalizer, pre_tokenizer, decoder, post_processor=None):
    tokenizer = Tokenizer(models.WordLevel(unk_token="<unk>"))
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizer, pre_tokenizer
    tokenizer.train_from_iterator(corpus(), trainers.WordLevelTrainer(vocab_size=4000, special_tokens=SPECIALS, show_progress=False))
    tokenizer.decoder, tokenizer.post_processor = decoder, post_processor or processors.ByteLevel(trim_offsets=False)
    return tokenizer


def bpe(normalizer, pre_tokenizer, decoder, post_processor=None, model=None, **trainer):
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", **(model or {})))
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizer, pre_tokenizer
    trainer = trainers.BpeTrainer(vocab_size=3000, special_tokens=SPECIALS, show_progress=False, **trainer)
    tokenizer.train_from_iterator(corpus()[::2], trainer)
    tokenizer.decoder, tokenizer.post_processor = decoder, post_processor or processors.ByteLevel(trim_offsets=False)
    return tokenizer


def template(single, pair):
    return processors.TemplateProcessing(single=single, pair=pair, special_tokens=[("<s>", 0), ("</s>", 2)])


def sentencepiece_decoder():
    return D.Sequence([D.Replace("▁", " "), D.ByteFallback(), D.Fuse(), D.Strip(" ", 1, 0)])


def llama2():
    """Trained in words, then the words' borders are the model's own."""
    tokenizer = bpe(N.Sequence([N.Prepend("▁"), N.Replace(" ", "▁")]), P.Split("▁", "merged_with_next"), sentencepiece_decoder(),
                    template("<s> $A", "<s> $A <s>:1 $B:1"), model={"byte_fallback": True, "fuse_unk": True}, limit_alphabet=200)
    tokenizer.pre_tokenizer = P.Sequence([])
    return with_bytes(tokenizer)


def letters():
    """A speech model's: letters and a sign between words."""
    vocab = {token: i for i, token in enumerate(["<pad>", "<s>", "</s>", "<unk>", "|", *"abcdefghijklmnopqrstuvwxyz'.,äöü"])}
    tokenizer = Tokenizer(models.WordLevel(vocab, "<unk>"))
    tokenizer.normalizer = N.Sequence([N.Lowercase(), N.Replace(Regex(r"\s+"), "|")])
    tokenizer.pre_tokenizer, tokenizer.decoder = P.FixedLength(1), D.CTC("<pad>", "|", True)
    return tokenizer


def sentencepieces(real):
    always, first = P.Metaspace("▁", "always"), P.Metaspace("▁", "first", split=False)
    two = template("<s> $A </s>", "<s> $A </s> </s> $B </s>")
    squeeze = N.Replace(Regex(" {2,}"), "▁")
    return {
        "t5": unigram(N.Sequence([N.Precompiled(real), N.Strip(False, True), squeeze]), always, D.Metaspace(),
                      processors.Sequence([processors.ByteLevel(trim_offsets=False), template("$A </s>", "$A </s> $B </s>")])),
        "xlm-r": unigram(N.Precompiled(real), P.Sequence([P.WhitespaceSplit(), always]), D.Metaspace("▁", "always"), two),
        "unigram-bytes": unigram(N.Lowercase(), first, sentencepiece_decoder(), two, byte_fallback=True),
        "unigram-nmt": unigram(N.Sequence([N.Nmt(), N.NFKD(), N.StripAccents()]), P.Sequence([P.UnicodeScripts(), P.Metaspace("▁", "never")]),
                               D.Metaspace("▁", "never")),
        "llama2": llama2(),
        "gemma": with_bytes(bpe(N.Replace(" ", "▁"), P.Split("▁", "merged_with_previous"),
                                D.Sequence([D.Replace("▁", " "), D.ByteFallback(), D.Fuse()]), template("<s> $A", "<s> $A $B"),
                                model={"byte_fallback": True}, limit_alphabet=200)),
    }


def words():
    bert = processors.BertProcessing(("</s>", 2), ("<s>", 0))
    roberta = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), trim_offsets=False)
    clip = P.Sequence([P.Split(Regex(r"'s|'t|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"), "removed", invert=True), P.ByteLevel(False, use_regex=False)])
    return {
        "words": word_level(N.Sequence([N.Strip(), N.NFD(), N.Lowercase()]), P.Whitespace(), D.WordPiece("##", False), bert),
        "scripts": word_level(None, P.Sequence([P.UnicodeScripts(), P.Digits(False), P.Punctuation("merged_with_next")]), D.Fuse(), roberta),
        "delimited": word_level(N.BertNormalizer(), P.Sequence([P.CharDelimiterSplit(" "), P.BertPreTokenizer()]), None),
        "letters": letters(),
        "clip": bpe(N.Sequence([N.NFC(), N.Replace(Regex(r"\s+"), " "), N.Lowercase()]), clip, D.Sequence([D.ByteLevel(), D.BPEDecoder("</w>")]),
                    roberta, model={"end_of_word_suffix": "</w>"}, end_of_word_suffix="</w>", initial_alphabet=P.ByteLevel.alphabet()),
        "prefixed": bpe(N.NFKC(), P.Sequence([P.WhitespaceSplit(), P.FixedLength(9)]), D.Sequence([D.Replace("@@", ""), D.Fuse()]), model={"continuing_subword_prefix": "@@"},
                        continuing_subword_prefix="@@"),
        "falcon": bpe(N.ByteLevel(), P.Sequence([P.Punctuation("contiguous"), P.Digits(True), P.Split(Regex("Ġ"), "merged_with_next")]),
                      D.ByteLevel(), initial_alphabet=P.ByteLevel.alphabet()),
    }


def spelled(normalizer):
    """Every byte of the normalized text is a token."""
    tokenizer = Tokenizer(models.BPE({c: i for i, c in enumerate(sorted(P.ByteLevel.alphabet()))}, []))
    tokenizer.normalizer, tokenizer.decoder, tokenizer.pre_tokenizer = normalizer, D.ByteLevel(), P.ByteLevel(False, use_regex=False)
    return tokenizer


def all_characters(vocabularies):
    """For every character of Unicode, beside an "a"."""
    own = charsmap({"a": "xyz", "\u0301": "E", "cd": "X", "\ufb03": "ffi"})
    cut = Tokenizer(models.WordLevel({"<unk>": 0}, "<unk>"))
    cut.pre_tokenizer = P.UnicodeScripts()
    return {"characters-precompiled": spelled(N.Precompiled(real_charsmap(vocabularies))), "characters-charsmap": spelled(N.Precompiled(own)),
            "characters-nmt": spelled(N.Nmt()), "characters-scripts": cut}


def all_tokenizers(vocabularies):
    """name -> Tokenizer"""
    return sentencepieces(real_charsmap(vocabularies)) | words()
