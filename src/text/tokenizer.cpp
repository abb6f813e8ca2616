#include "graft/text/tokenizer.h"

#include <algorithm>

#include "graft/core/error.h"
#include "graft/core/hash.h"
#include "graft/text/unicode.h"
#include "tokenizer_impl.h"

namespace graft {
namespace {

constexpr size_t text_limit = UINT32_MAX;

void check_text(std::string_view text, std::span<const TextRange> literal) {
  require(text.size() < text_limit, "a text of {} bytes is over the limit of {}", text.size(), text_limit);
  const size_t bad = find_invalid_utf8(text);
  if (bad != std::string_view::npos)
    refuse("the text is not valid UTF-8: byte {} (0x{:02x})", bad, static_cast<unsigned char>(text[bad]));
  size_t last = 0;
  for (const TextRange& range : literal) {
    check(range.begin >= last && range.end >= range.begin && range.end <= text.size(),
          "literal ranges must be sorted, disjoint and within the text's {} bytes", text.size());
    last = range.end;
  }
}

void append(Encoding& out, int32_t id, TextRange source, bool with_offsets) {
  out.ids.push_back(id);
  if (with_offsets) out.offsets.push_back(source);
}

}  // namespace

Encoding Tokenizer::Impl::encode(std::string_view text, const EncodeOptions& options, bool with_offsets) const {
  check_text(text, options.literal);
  WordCachePool::Lease cache(caches);
  Encoding out;
  if (options.add_special_tokens)
    for (const int32_t id : post_processor.prefix()) append(out, id, {0, 0}, with_offsets);
  const size_t first = out.ids.size();
  const AlignedText whole(text, 0);
  std::vector<TextPart> parts;
  added.split(whole, AddedTokens::Pass::raw, options.parse_special, options.literal, parts);
  for (const TextPart& part : parts) {
    if (part.id >= 0) {
      append(out, part.id, {part.begin, part.end}, with_offsets);
    } else {
      encode_segment(whole.slice(part.begin, part.end), options, *cache, with_offsets, out);
    }
  }
  if (with_offsets && post_processor.trim) trim_offsets(text, first, out);
  if (options.add_special_tokens)
    for (const int32_t id : post_processor.suffix()) append(out, id, {text.size(), text.size()}, with_offsets);
  return out;
}

void Tokenizer::Impl::encode_segment(const AlignedText& segment, const EncodeOptions& options, WordCache& cache,
                                     bool with_offsets, Encoding& out) const {
  AlignedText text = segment;
  normalizer.apply(text);
  std::vector<TextPart> parts;
  added.split(text, AddedTokens::Pass::normalized, options.parse_special, options.literal, parts);
  for (const TextPart& part : parts) {
    if (part.id >= 0) {
      append(out, part.id, text.source(part.begin, part.end), with_offsets);
    } else {
      encode_words(text.slice(part.begin, part.end), cache, with_offsets, out);
    }
  }
}

void Tokenizer::Impl::encode_words(AlignedText text, WordCache& cache, bool with_offsets, Encoding& out) const {
  const size_t size = text.text().size();
  Words words{std::move(text), {{0, size}}};
  pretokenizer.apply(words);
  for (const TextRange& range : words.ranges) {
    const std::string_view word = words.text.text().substr(range.begin, range.end - range.begin);
    for (size_t begin = 0; begin < word.size();) {
      const size_t end = pretokenizer.leaves_bytes() ? word.size() : model->part_end(word, begin);
      encode_part(words.text, {range.begin + begin, range.begin + end}, cache, with_offsets, out);
      begin = end;
    }
  }
}

void Tokenizer::Impl::encode_part(const AlignedText& text, TextRange range, WordCache& cache, bool with_offsets,
                                  Encoding& out) const {
  const auto encode = [&](std::string_view part, std::vector<TokenPiece>& pieces) {
    if (pretokenizer.leaves_bytes()) {
      model->encode_bytes(part, pieces);
    } else {
      model->encode(part, pieces);
    }
  };
  const std::string_view part = text.text().substr(range.begin, range.end - range.begin);
  std::vector<TokenPiece> long_part;
  const std::vector<TokenPiece>* pieces = &long_part;
  if (part.size() <= WordCache::longest_word) {
    pieces = &cache.tokens(part, encode);
  } else {
    encode(part, long_part);
  }
  size_t at = range.begin;
  for (const TokenPiece& piece : *pieces) {
    const size_t end = std::min<size_t>(at + piece.length, range.end);  // byte fallback of a suffix counts more than there is
    append(out, piece.id, with_offsets ? text.source(at, end) : TextRange{}, with_offsets);
    at = end;
  }
}

Tokenizer::Tokenizer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;
Tokenizer::~Tokenizer() = default;

Tokenizer Tokenizer::from_json(std::string_view tokenizer_json, const Json& config) {
  return Tokenizer(std::make_unique<Impl>(tokenizer_json, config));
}

std::vector<int32_t> Tokenizer::encode(std::string_view text, const EncodeOptions& options) const {
  return impl_->encode(text, options, false).ids;
}

Encoding Tokenizer::encode_with_offsets(std::string_view text, const EncodeOptions& options) const {
  return impl_->encode(text, options, true);
}

std::string Tokenizer::decode(std::span<const int32_t> ids, bool skip_special_tokens) const {
  std::vector<std::string> tokens;
  tokens.reserve(ids.size());
  for (const int32_t id : ids) {
    const std::string_view token = id_to_token(id).data() ? impl_->spellings[static_cast<size_t>(id)] : std::string_view();
    if (token.data() && !(skip_special_tokens && impl_->skipped[static_cast<size_t>(id)])) tokens.emplace_back(token);
  }
  return impl_->decoder.decode(std::move(tokens));
}

std::optional<int32_t> Tokenizer::token_to_id(std::string_view token) const {
  const auto found = impl_->added_ids.find(std::string(token));
  return found != impl_->added_ids.end() ? std::optional(found->second) : impl_->model->token_to_id(token);
}

std::string_view Tokenizer::id_to_token(int32_t id) const {
  check(id >= 0 && id < vocab_size(), "token id {} is outside the vocabulary of {}", id, vocab_size());
  return impl_->tokens[static_cast<size_t>(id)];
}

int32_t Tokenizer::vocab_size() const { return static_cast<int32_t>(impl_->tokens.size()); }

bool Tokenizer::is_special(int32_t id) const { return id >= 0 && id < vocab_size() && impl_->special[static_cast<size_t>(id)]; }

std::optional<int32_t> Tokenizer::bos() const { return impl_->bos; }
std::optional<int32_t> Tokenizer::eos() const { return impl_->eos; }
std::optional<int32_t> Tokenizer::pad() const { return impl_->pad; }
bool Tokenizer::adds_bos() const { return !impl_->post_processor.prefix().empty(); }
bool Tokenizer::adds_eos() const { return !impl_->post_processor.suffix().empty(); }

std::string Tokenizer::to_json() const { return impl_->json_text; }

Json Tokenizer::config() const {
  Json config = impl_->config.is_object() ? impl_->config : Json::object();
  config.erase("chat_template");
  return config;
}

Tokenizer Tokenizer::with_tokens(const std::vector<std::string>& tokens) const {
  TokenizerJson json = TokenizerJson::parse(impl_->json_text);
  auto& added = json["added_tokens"];
  if (!added.is_array()) added = TokenizerJson::array();
  for (size_t i = 0; i < tokens.size(); ++i) {
    require(!tokens[i].empty(), "a new token is empty");
    if (const auto id = token_to_id(tokens[i])) refuse("'{}' is no new token: the model has it, with id {}", tokens[i], *id);
    require(std::find(tokens.begin(), tokens.begin() + static_cast<int64_t>(i), tokens[i]) == tokens.begin() + static_cast<int64_t>(i), "new token '{}' is given twice", tokens[i]);
    added.push_back({{"id", vocab_size() + static_cast<int32_t>(i)}, {"content", tokens[i]}, {"single_word", false}, {"lstrip", false}, {"rstrip", false},
                     {"normalized", false}, {"special", false}});
  }
  return from_json(json.dump(), impl_->config);
}

uint64_t Tokenizer::hash() const {
  Hash hash;
  hash.add(impl_->json_text);
  for (const AddedToken& token : impl_->added.tokens()) hash.add(token.content).add(uint64_t{token.special});
  for (const auto& ids : {impl_->post_processor.prefix(), impl_->post_processor.suffix()}) {
    hash.add(ids.size());
    for (const int32_t id : ids) hash.add(static_cast<uint64_t>(id));
  }
  return hash.value();
}

}  // namespace graft
