#include "gguf_pretokenizers.h"
#include "gguf_vocabulary.h"
#include "graft/core/error.h"

namespace graft {

GgufParts gguf_byte_level(GgufVocabulary& vocabulary) {
  const auto pre = vocabulary.file.string("tokenizer.ggml.pre");
  require(pre.has_value(), "{}: tokenizer.ggml.pre is missing: how text is cut into words is not known; convert the model anew",
          vocabulary.where);
  const GgufPretokenizer& known = gguf_pretokenizer(*pre);
  GgufParts parts;
  if (known.nfc) parts.normalizer = {{"type", "NFC"}};
  parts.pre_tokenizer = known.json();
  parts.decoder = {{"type", "ByteLevel"}, {"add_prefix_space", true}, {"trim_offsets", true}, {"use_regex", true}};
  parts.model = {{"type", "BPE"},
                 {"dropout", nullptr},
                 {"unk_token", nullptr},
                 {"continuing_subword_prefix", nullptr},
                 {"end_of_word_suffix", nullptr},
                 {"fuse_unk", false},
                 {"byte_fallback", false},
                 {"ignore_merges", known.ignore_merges}};
  parts.model["vocab"] = vocab_json(vocabulary);
  parts.model["merges"] = merges_json(vocabulary);
  parts.add_bos = known.add_bos;
  return parts;
}

}  // namespace graft
