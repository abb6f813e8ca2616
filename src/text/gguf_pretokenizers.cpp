#include "gguf_pretokenizers.h"

#include <algorithm>
#include <iterator>

// What each name in tokenizer.ggml.pre stands for in its model's tokenizer.json. The names are llama.cpp's; a name whose
// tokenizer.json graft is not sure of is not here, and refused.
namespace graft {
namespace {

constexpr const char* llama3_words =
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| "
    "?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
constexpr const char* qwen2_words =
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| "
    "?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
constexpr const char* qwen35_words =
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+|\\p{N}| "
    "?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|"
    "\\s+(?!\\S)|\\s+";
constexpr const char* gpt4o_words =
    "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
    "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
    "\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
constexpr const char* tekken_words =
    "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+|"
    "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*|"
    "\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
constexpr const char* deepseek_v3_words =
    "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| "
    "?[\\p{P}\\p{S}]+[\\r\\n]*|"
    "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
constexpr const char* cjk = "[\\u4E00-\\u9FA5\\u0800-\\u4E00\\uAC00-\\uD7FF]+";
constexpr const char* deepseek_v3_cjk = "[\\u4E00-\\u9FA5\\u3040-\\u309F\\u30A0-\\u30FF]+";
constexpr const char* deepseek_llm_punctuation = "\\s?[!-/:-~\\uFF01-\\uFF0F\\uFF1A-\\uFF5E\\u2018-\\u201F\\u3000-\\u3002]+";
constexpr const char* deepseek_llm_letters =
    "\\s?[A-Za-z\\u00B5\\u00C0-\\u00D6\\u00D8-\\u00F6\\u00F8-\\u01BA\\u01BC-\\u01BF\\u01C4-\\u0293\\u0295-\\u02AF"
    "\\u0370-\\u0373\\u0376\\u0377\\u037B-\\u037D\\u037F\\u0386\\u0388-\\u038A\\u038C\\u038E-\\u03A1\\u03A3-\\u03F5"
    "\\u03F7-\\u0481\\u048A-\\u052F\\u0531-\\u0556\\u10A0-\\u10C5\\u13A0-\\u13F5\\u13F8-\\u13FD\\u1C90-\\u1CBA\\u1CBD"
    "-\\u1CBF\\u1D00-\\u1D2B\\u1D6B-\\u1D77\\u1D79-\\u1D9A\\u1E00-\\u1F15\\u1F18-\\u1F1D\\u1F20-\\u1F45\\u1F48-"
    "\\u1F4D\\u1F50-\\u1F57\\u1F59\\u1F5B\\u1F5D\\u1F5F-\\u1F7D\\u1F80-\\u1FB4\\u1FB6-\\u1FBC\\u1FBE\\u1FC2-\\u1FC4"
    "\\u1FC6-\\u1FCC\\u1FD0-\\u1FD3\\u1FD6-\\u1FDB\\u1FE0-\\u1FEC\\u1FF2-\\u1FF4\\u1FF6-\\u1FFC\\u2102\\u2107\\u210A-"
    "\\u2113\\u2115\\u2119-\\u211D\\u2124\\u2126\\u2128\\u212A-\\u212D\\u212F-\\u2134\\u2139\\u213C-\\u213F\\u2145-"
    "\\u2149\\u214E\\u2183\\u2184\\u2C00-\\u2C7B\\u2C7E-\\u2CE4\\u2CEB-\\u2CEE\\u2CF2\\u2CF3\\uA640-\\uA66D\\uA680-"
    "\\uA69B\\uA722-\\uA76F\\uA771-\\uA787\\uA78B-\\uA78E\\uAB70-\\uABBF\\uFB00-\\uFB06\\uFB13-\\uFB17\\uFF21-\\uFF3A"
    "\\uFF41-\\uFF5A\\x{10400}-\\x{1044F}\\x{104B0}-\\x{104D3}\\x{104D8}-\\x{104FB}\\x{10C80}-\\x{10CB2}\\x{10CC0}-"
    "\\x{10CF2}\\x{118A0}-\\x{118DF}\\x{1E900}-\\x{1E943}]+";

TokenizerJson split(const char* pattern) {
  return {{"type", "Split"}, {"pattern", {{"Regex", pattern}}}, {"behavior", "Isolated"}, {"invert", false}};
}
TokenizerJson digits(bool single) { return {{"type", "Digits"}, {"individual_digits", single}}; }
TokenizerJson byte_level(bool use_regex) {
  return {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", use_regex}};
}
TokenizerJson sequence(std::vector<TokenizerJson> steps) {
  TokenizerJson json{{"type", "Sequence"}};
  json["pretokenizers"] = std::move(steps);
  return json;
}
TokenizerJson words(const char* pattern) { return sequence({split(pattern), byte_level(false)}); }

TokenizerJson gpt2() { return byte_level(true); }
TokenizerJson single_digits() { return sequence({digits(true), byte_level(true)}); }
TokenizerJson llama3() { return words(llama3_words); }
TokenizerJson qwen2() { return words(qwen2_words); }
TokenizerJson qwen35() { return words(qwen35_words); }
TokenizerJson gpt4o() { return words(gpt4o_words); }
TokenizerJson tekken() { return words(tekken_words); }
TokenizerJson falcon() {
  const TokenizerJson punctuation{{"type", "Punctuation"}, {"behavior", "Contiguous"}};
  return sequence({punctuation, byte_level(true), digits(false), split("[0-9][0-9][0-9]")});
}
TokenizerJson deepseek_coder() {
  return sequence({split("[\r\n]"), split("\\s?\\p{L}+"), split("\\s?\\p{P}+"), split(cjk), digits(true), byte_level(false)});
}
TokenizerJson deepseek_llm() {
  return sequence({split("[\r\n]"), split(deepseek_llm_letters), split(deepseek_llm_punctuation), split("\\s+$"), split(cjk),
                   digits(false), byte_level(false)});
}
TokenizerJson deepseek_v3() {
  return sequence({split("\\p{N}{1,3}"), split(deepseek_v3_cjk), split(deepseek_v3_words), byte_level(false)});
}

constexpr GgufPretokenizer table[] = {
    {.name = "gpt-2", .json = gpt2},
    {.name = "phi-2", .json = gpt2},
    {.name = "mpt", .json = gpt2, .nfc = true},
    {.name = "olmo", .json = gpt2, .nfc = true},
    {.name = "smollm", .json = single_digits},
    {.name = "starcoder", .json = single_digits},
    {.name = "refact", .json = single_digits},
    {.name = "codeshell", .json = single_digits},
    {.name = "command-r", .json = single_digits, .nfc = true},
    {.name = "falcon", .json = falcon},
    {.name = "llama-bpe", .json = llama3, .ignore_merges = true, .add_bos = true},
    {.name = "llama3", .json = llama3, .ignore_merges = true, .add_bos = true},
    {.name = "llama-v3", .json = llama3, .ignore_merges = true, .add_bos = true},
    {.name = "dbrx", .json = llama3},
    {.name = "smaug-bpe", .json = llama3},
    {.name = "qwen2", .json = qwen2, .nfc = true},
    {.name = "deepseek-r1-qwen", .json = qwen2},
    {.name = "stablelm2", .json = qwen2},
    {.name = "qwen35", .json = qwen35},
    {.name = "gpt-4o", .json = gpt4o},
    {.name = "llama4", .json = gpt4o},
    {.name = "tekken", .json = tekken, .ignore_merges = true, .add_bos = true},
    {.name = "deepseek-coder", .json = deepseek_coder},
    {.name = "deepseek-llm", .json = deepseek_llm},
    {.name = "deepseek-v3", .json = deepseek_v3},
};

}  // namespace

const GgufPretokenizer& gguf_pretokenizer(std::string_view name) {
  const auto* row = std::find_if(std::begin(table), std::end(table), [&](const GgufPretokenizer& r) { return r.name == name; });
  if (row != std::end(table)) return *row;
  std::vector<std::string> names;
  for (const GgufPretokenizer& known : table) names.emplace_back(known.name);
  refuse("tokenizer.ggml.pre: graft does not know the pre-tokenizer '{}'{}; known: {}", name, did_you_mean(name, names),
         join(names));
}

namespace {

/// Without what changes offsets alone, and with the defaults of what may be left out.
TokenizerJson canonical(TokenizerJson step) {
  if (!step.is_object()) return step;
  if (step.contains("pretokenizers")) {
    TokenizerJson steps = TokenizerJson::array();
    for (TokenizerJson& part : step["pretokenizers"]) steps.push_back(canonical(std::move(part)));
    return steps.size() == 1 ? steps[0] : TokenizerJson{{"pretokenizers", steps}};
  }
  if (step.value("type", "") == "ByteLevel") step.erase("trim_offsets"), step.emplace("use_regex", true);
  return step;
}

}  // namespace

const GgufPretokenizer* find_gguf_pretokenizer(const TokenizerJson& tokenizer) {
  const TokenizerJson given = canonical(tokenizer.value("pre_tokenizer", TokenizerJson()));
  const TokenizerJson* normalizer = find_field(tokenizer, "normalizer");
  const bool nfc = normalizer && normalizer->value("type", "") == "NFC";
  if (normalizer && !nfc) return nullptr;
  const bool ignores_merges = tokenizer.at("model").value("ignore_merges", false);
  for (const GgufPretokenizer& row : table)
    if (row.nfc == nfc && row.ignore_merges == ignores_merges && canonical(row.json()) == given) return &row;
  return nullptr;
}

}  // namespace graft
