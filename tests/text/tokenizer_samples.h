#pragma once
// Small tokenizers made here, and the real ones that tests find in .deps.
#include <filesystem>
#include <string>
#include <vector>

#include "graft/text/json_fields.h"
#include "graft/text/unicode.h"

namespace graft {

inline TokenizerJson added_token(int id, const std::string& content, bool special,
                                 const TokenizerJson& flags = TokenizerJson::object()) {
  TokenizerJson token{{"id", id},        {"content", content},  {"single_word", false}, {"lstrip", false},
                      {"rstrip", false}, {"normalized", false}, {"special", special}};
  token.update(flags);
  return token;
}

/// Byte-level BPE: bytes are tokens 0 to 255, then "he" 256, "ll" 257, "hell" 258, "hello" 259, " hello" 260; <|s|> 261 and <|e|>
/// 262 are special, <plain> 263 is not.
inline TokenizerJson byte_level_sample() {
  TokenizerJson model{{"type", "BPE"}};
  for (int byte = 0; byte < 256; ++byte) {
    const char raw = static_cast<char>(byte);
    model["vocab"][spell_bytes({&raw, 1})] = byte;
  }
  int id = 256;
  for (const auto& [left, right] :
       std::vector<std::pair<const char*, const char*>>{{"h", "e"}, {"l", "l"}, {"he", "ll"}, {"hell", "o"}, {"Ġ", "hello"}}) {
    model["merges"].push_back(TokenizerJson::array({left, right}));
    model["vocab"][std::string(left) + right] = id++;
  }
  TokenizerJson json{{"version", "1.0"}, {"normalizer", nullptr}, {"post_processor", nullptr}};
  json["added_tokens"] = TokenizerJson::array(
      {added_token(261, "<|s|>", true), added_token(262, "<|e|>", true), added_token(263, "<plain>", false)});
  json["pre_tokenizer"] = {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", true}};
  json["decoder"] = {{"type", "ByteLevel"}};
  json["model"] = std::move(model);
  return json;
}

/// Llama 2's form: Prepend and Replace, byte fallback.
inline TokenizerJson llama2_sample() {
  TokenizerJson model{{"type", "BPE"}, {"unk_token", "<unk>"}, {"fuse_unk", true}, {"byte_fallback", true}};
  model["vocab"] = {{"<unk>", 0}, {"<s>", 1}, {"</s>", 2}};
  for (int byte = 0; byte < 256; ++byte) model["vocab"][fmt::format("<0x{:02X}>", byte)] = 3 + byte;
  int id = 259;
  for (const char* token : {"▁", "h", "i", "▁h", "hi", "▁hi"}) model["vocab"][token] = id++;
  model["merges"] = {"▁ h", "h i", "▁h i"};
  TokenizerJson json;
  json["added_tokens"] =
      TokenizerJson::array({added_token(0, "<unk>", true), added_token(1, "<s>", true), added_token(2, "</s>", true)});
  json["normalizer"] = TokenizerJson::parse(R"({"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "▁"},
      {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]})");
  json["post_processor"] =
      TokenizerJson::parse(R"({"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}},
      {"Sequence": {"id": "A", "type_id": 0}}], "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}}})");
  json["decoder"] =
      TokenizerJson::parse(R"({"type": "Sequence", "decoders": [{"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
      {"type": "ByteFallback"}, {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}]})");
  json["model"] = std::move(model);
  return json;
}

/// BERT's form: ids are places in the list.
inline TokenizerJson wordpiece_sample() {
  TokenizerJson model{
      {"type", "WordPiece"}, {"unk_token", "[UNK]"}, {"continuing_subword_prefix", "##"}, {"max_input_chars_per_word", 100}};
  int id = 0;
  for (const char* token :
       {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "un",  "##aff", "##able", "hello", "world", ",",   "!", "##s",
        "中",    "文",    "cafe",  "café",  "a",      "##a", "'",     "t",      "don",   "##'",   "##t", "é"})
    model["vocab"][token] = id++;
  TokenizerJson json;
  for (int special = 0; const char* token : {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"})
    json["added_tokens"].push_back(added_token(special++, token, true));
  json["normalizer"] = TokenizerJson::parse(R"({"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true,
      "strip_accents": null, "lowercase": true})");
  json["pre_tokenizer"] = {{"type", "BertPreTokenizer"}};
  json["decoder"] = {{"type", "WordPiece"}, {"prefix", "##"}, {"cleanup", true}};
  json["model"] = std::move(model);
  return json;
}

inline std::filesystem::path deps_folder() { return std::filesystem::path(GRAFT_SOURCE_DIR) / ".deps"; }
inline std::filesystem::path vocabulary_file(const std::string& name) {
  return deps_folder() / "llama.cpp" / "models" / ("ggml-vocab-" + name + ".gguf");
}

}  // namespace graft
