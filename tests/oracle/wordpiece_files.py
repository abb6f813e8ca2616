"""Encoders' tokenizers, trained on the spot with `tokenizers`: WordPiece in its variants, and RoBERTa's byte-level BPE."""
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from tokenizer_texts import SCRIPTS, code_lines, locale_lines

BERT = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
ROBERTA = ["<s>", "<pad>", "</s>", "<unk>", AddedToken("<mask>", lstrip=True, special=True)]


def corpus():
    return list(SCRIPTS.values()) * 3 + code_lines()[:6000] + locale_lines()[:3000]


def wordpiece(normalizer, pre_tokenizer, post_processor, prefix="##", longest=100, cleanup=True):
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]", max_input_chars_per_word=longest))
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizer, pre_tokenizer
    trainer = trainers.WordPieceTrainer(vocab_size=4000, special_tokens=BERT, continuing_subword_prefix=prefix, show_progress=False)
    tokenizer.train_from_iterator(corpus(), trainer)
    tokenizer.decoder = decoders.WordPiece(prefix=prefix, cleanup=cleanup)
    tokenizer.post_processor = post_processor
    return tokenizer


def roberta(add_prefix_space, trim_offsets):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=add_prefix_space)
    trainer = trainers.BpeTrainer(vocab_size=4000, special_tokens=ROBERTA, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
                                  show_progress=False)
    tokenizer.train_from_iterator(corpus(), trainer)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), trim_offsets=trim_offsets,
                                                            add_prefix_space=add_prefix_space)
    return tokenizer


def spelled(normalizer):
    """Every byte of the normalized text is a token."""
    tokenizer = Tokenizer(models.BPE({c: i for i, c in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}, []))
    tokenizer.normalizer, tokenizer.decoder = normalizer, decoders.ByteLevel()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    return tokenizer


def template(single, pair):
    return processors.TemplateProcessing(single=single, pair=pair, special_tokens=[("[CLS]", 2), ("[SEP]", 3)])


def all_tokenizers():
    """name -> Tokenizer"""
    bert, split = normalizers.BertNormalizer, pre_tokenizers
    bert_template = template("[CLS] $A [SEP]", "[CLS] $A [SEP] $B:1 [SEP]:1")
    return {
        "uncased": wordpiece(bert(), split.BertPreTokenizer(), bert_template),
        "cased": wordpiece(bert(lowercase=False), split.BertPreTokenizer(), processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2)),
                           cleanup=False),
        "accents": wordpiece(bert(strip_accents=False, clean_text=False), split.BertPreTokenizer(), bert_template),
        "cased-no-accents": wordpiece(bert(lowercase=False, strip_accents=True, handle_chinese_chars=False),
                                      split.Sequence([split.WhitespaceSplit(), split.Punctuation()]), None),
        "prefix": wordpiece(normalizers.Sequence([normalizers.NFD(), normalizers.Lowercase(), normalizers.StripAccents()]),
                            split.Whitespace(), template("$A:7 [SEP]:3", "[SEP]:4 $B:5 [CLS]:6 $A:255"), prefix="@@", longest=12),
        "no-prefix": wordpiece(normalizers.NFKD(), split.WhitespaceSplit(), bert_template, prefix="", longest=9),
        "characters-uncased": spelled(bert()),
        "characters-no-accents": spelled(bert(clean_text=False, handle_chinese_chars=False, strip_accents=True, lowercase=False)),
        "roberta": roberta(False, True),
        "roberta-prefix": roberta(True, True),
        "roberta-untrimmed": roberta(False, False),
    }
