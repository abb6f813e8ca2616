#include <algorithm>

#include "graft/core/error.h"
#include "tokenizer_impl.h"

namespace graft {
namespace {

constexpr const char* named_keys[] = {"bos_token", "eos_token", "unk_token", "pad_token", "sep_token", "cls_token", "mask_token"};

TokenizerJson parse(std::string_view text) {
  try {
    TokenizerJson json = TokenizerJson::parse(text);
    require(json.is_object(), "tokenizer.json: must be an object, not {}", json.type_name());
    return json;
  } catch (const TokenizerJson::exception& e) {
    const std::string_view reason = e.what();
    const size_t at = reason.find("] ");
    refuse("tokenizer.json: not valid JSON: {}", at == std::string_view::npos ? reason : reason.substr(at + 2));
  }
}

template <class Part>
Part read_part(const TokenizerJson& json, const char* key) {
  const TokenizerJson* part = find_field(json, key);
  return part ? Part(*part) : Part();
}

/// What tokenizer_config.json calls a token: its text, or an object with `content`.
std::optional<std::string> token_text(const Json& config, const char* key) {
  if (!config.is_object()) return std::nullopt;
  const auto found = config.find(key);
  if (found == config.end() || found->is_null()) return std::nullopt;
  if (found->is_string()) return found->get<std::string>();
  require(found->is_object() && found->contains("content") && (*found)["content"].is_string(),
          "tokenizer_config.json: {} must be a token's text or an object with its content", key);
  return (*found)["content"].get<std::string>();
}

}  // namespace

Tokenizer::Impl::Impl(std::string_view tokenizer_json, const Json& tokenizer_config)
    : Impl(std::string(tokenizer_json), tokenizer_config, parse(tokenizer_json)) {}

Tokenizer::Impl::Impl(std::string text, Json config_, const TokenizerJson& json)
    : json_text(std::move(text)),
      config(std::move(config_)),
      model(read_token_model(need_field(json, "model", "tokenizer.json"))),
      normalizer(read_part<Normalizer>(json, "normalizer")),
      pretokenizer(read_part<PreTokenizer>(json, "pre_tokenizer")),
      decoder(read_part<Decoder>(json, "decoder")) {
  require(config.is_null() || config.is_object(), "tokenizer_config.json: must be an object, not {}", config.type_name());
  std::vector<AddedToken> all = read_added_tokens(json);
  add_named_tokens(all);
  added = AddedTokens(std::move(all), normalizer);
  index_tokens();
  if (const TokenizerJson* part = find_field(json, "post_processor"))
    post_processor = read_post_processor(*part, static_cast<int32_t>(tokens.size()));
  apply_config();
}

void Tokenizer::Impl::index_tokens() {
  for (int32_t id = 0; id < model->id_end(); ++id) tokens.push_back(model->id_to_token(id));
  for (const AddedToken& token : added.tokens())
    if (static_cast<size_t>(token.id) >= tokens.size()) tokens.resize(static_cast<size_t>(token.id) + 1);
  spellings = tokens;
  special.resize(tokens.size());
  skipped.resize(tokens.size());
  for (const AddedToken& token : added.tokens()) {
    const auto id = static_cast<size_t>(token.id);
    tokens[id] = token.content;
    spellings[id] = token.spelling;
    special[id] = token.special;
    skipped[id] = token.special && token.spelling == token.content;
    added_ids[token.content] = token.id;
  }
}

std::vector<AddedToken> Tokenizer::Impl::read_added_tokens(const TokenizerJson& json) const {
  std::vector<AddedToken> read;
  if (!find_field(json, "added_tokens")) return read;
  std::unordered_map<std::string, int32_t> seen;
  int64_t next = model->size();  // of those that the model does not have, as the oracle numbers them
  for (const TokenizerJson& item : need_list(json, "added_tokens", "tokenizer.json")) {
    const std::string_view where = "added_tokens";
    require(item.is_object(), "{}: must hold objects, not {}", where, item.type_name());
    AddedToken token;
    token.content = need_string(item, "content", where);
    if (token.content.empty()) continue;
    token.id = static_cast<int32_t>(as_count(need_field(item, "id", where), "id", TokenModel::id_limit, where));
    const int64_t expected = model->token_to_id(token.content).value_or(static_cast<int32_t>(next));
    require(token.id == expected, "{}: '{}' has id {}, where the vocabulary makes it {}", where, token.content, token.id,
            expected);
    require(seen.emplace(token.content, token.id).second, "{}: '{}' comes twice", where, token.content);
    token.single_word = bool_field(item, "single_word", false, where);
    token.lstrip = bool_field(item, "lstrip", false, where);
    token.rstrip = bool_field(item, "rstrip", false, where);
    token.special = bool_field(item, "special", false, where);
    token.normalized = bool_field(item, "normalized", !token.special, where);
    next = std::max<int64_t>(next, token.id + 1);
    read.push_back(std::move(token));
  }
  return read;
}

/// The tokens that tokenizer_config.json names are special, as transformers makes them.
void Tokenizer::Impl::add_named_tokens(std::vector<AddedToken>& all) const {
  for (const char* key : named_keys) {
    const auto text = token_text(config, key);
    if (!text || text->empty()) continue;
    const auto known = std::find_if(all.begin(), all.end(), [&](const AddedToken& token) { return token.content == *text; });
    if (known != all.end()) {
      known->special = true;
      continue;
    }
    const auto id = model->token_to_id(*text);
    require(id.has_value(), "tokenizer_config.json: {} '{}' is not in tokenizer.json", key, *text);
    AddedToken token;
    token.content = *text;
    token.id = *id;
    token.normalized = false;
    token.special = true;
    all.push_back(std::move(token));
  }
}

std::optional<int32_t> Tokenizer::Impl::named_token(const char* key) const {
  const auto text = token_text(config, key);
  if (!text || text->empty()) return std::nullopt;
  return added_ids.at(*text);
}

void Tokenizer::Impl::apply_config() {
  bos = named_token("bos_token");
  eos = named_token("eos_token");
  pad = named_token("pad_token");
  if (!config.is_object() || (!config.contains("add_bos_token") && !config.contains("add_eos_token"))) return;
  // Said there, it replaces what tokenizer.json's post-processor adds (transformers does so).
  const auto wanted = [&](const char* key) { return config.contains(key) && config[key] == true; };
  post_processor = {.single = {}, .pair = {}, .trim = post_processor.trim};
  for (const int sequence : {0, 1}) {
    const auto type_id = static_cast<uint8_t>(sequence);
    if (wanted("add_bos_token") && bos) post_processor.pair.push_back({*bos, -1, type_id});
    post_processor.pair.push_back({-1, sequence, type_id});
    if (wanted("add_eos_token") && eos) post_processor.pair.push_back({*eos, -1, type_id});
    if (sequence == 0) post_processor.single = post_processor.pair;
  }
}

}  // namespace graft
