#include "jinja_engine.h"

#include <jinja/lexer.h>
#include <jinja/parser.h>
#include <jinja/runtime.h>

#include <set>

#include "graft/core/error.h"
#include "graft/text/unicode.h"
#include "jinja_host.h"

namespace graft {
namespace {

constexpr size_t source_limit = size_t{512} << 10;
constexpr size_t tag_tokens_limit = 10000;  // a chain of operators is as deep as it is long
constexpr int parse_depth_limit = 400, render_depth_limit = 600;
// Bytes and steps. Grows with what is rendered: a long conversation may take more than a short one.
constexpr size_t work_base = size_t{256} << 20, work_per_byte = 1024, work_limit = size_t{768} << 20;

std::string with_plain_newlines(const std::string& source) {
  std::string out;
  for (size_t i = 0; i < source.size(); ++i) {
    const bool crlf = source[i] == '\r' && i + 1 < source.size() && source[i + 1] == '\n';
    if (!crlf) out += source[i] == '\r' ? '\n' : source[i];
  }
  return out;
}

bool ends_tag(const jinja::token& t) {
  return t.t == jinja::token::close_statement || t.t == jinja::token::close_expression || t.t == jinja::token::text;
}

void check_tags(const std::vector<jinja::token>& tokens) {
  size_t length = 0;
  for (const jinja::token& t : tokens) {
    length = ends_tag(t) ? 0 : length + 1;
    require(length <= tag_tokens_limit, "chat template: a tag of more than {} tokens (at byte {})", tag_tokens_limit, t.pos);
  }
}

/// The engine's message without the picture around it: "line 3, column 5: what".
std::string plain_error(std::string_view text) {
  const size_t where = text.find(" at line "), error = text.find("\nError: ");
  if (where == std::string_view::npos || error == std::string_view::npos) {
    const size_t end = text.find('\n');
    return std::string(text.substr(0, end == 0 ? text.size() : end));
  }
  const size_t begin = where + 4, end = text.find(" in source:", begin);
  return fmt::format("{}: {}", text.substr(begin, end - begin), text.substr(error + 8));
}

/// Builds the engine's values, marks strings with their origin and counts what they weigh.
class InputValues {
 public:
  size_t weight = 0;

  jinja::value of(const Json& j, int origin) {
    const jinja::nested depth;
    weight += 64;
    if (j.is_string()) return string_of(j.get_ref<const std::string&>(), origin);
    if (j.is_boolean()) return python::make_bool(j.get<bool>());
    if (j.is_number_float()) return jinja::mk_val<jinja::value_float>(j.get<double>());
    if (j.is_number_integer()) {
      require(!j.is_number_unsigned() || j.get<uint64_t>() <= INT64_MAX, "chat template: the number {} has more than 63 bits",
              to_line(j));
      return python::make_int(j.get<int64_t>());
    }
    if (j.is_array()) return array_of(j, origin);
    if (j.is_object()) return object_of(j, origin);
    return python::make_none();
  }

  /// Each field with its own origin. A role is part of the markup: templates make tokens of it.
  jinja::value message_of(const Json& message, size_t index) {
    auto out = jinja::mk_val<jinja::value_object>();
    for (const auto& [key, j] : message.items()) {
      const int origin = key == "role" && is_plain_name(j) ? Origin::from_template : Origin::of(index, field_named(key));
      static_cast<jinja::value_t&>(*out).insert(string_of(key, Origin::of(index, MessageField::other)), of(j, origin));
    }
    return out;
  }

 private:
  static bool is_plain_name(const Json& j) {
    const auto plain = [](unsigned char c) { return std::isalnum(c) || c == '_' || c == '-'; };
    return j.is_string() && std::ranges::all_of(j.get_ref<const std::string&>(), plain);
  }
  static MessageField field_named(const std::string& key) {
    if (key == "content") return MessageField::content;
    if (key == "reasoning_content" || key == "thinking" || key == "reasoning") return MessageField::reasoning;
    return key == "tool_calls" ? MessageField::tool_calls : MessageField::other;
  }
  jinja::value string_of(const std::string& text, int origin) {
    weight += text.size();
    const size_t bad = find_invalid_utf8(text);
    require(bad == std::string::npos, "the conversation has invalid UTF-8 (byte {} of a string)", bad);
    jinja::string marked(text, origin > 0);
    marked.parts.back().origin = origin;
    return python::make_text(std::move(marked));
  }
  jinja::value array_of(const Json& j, int origin) {
    std::vector<jinja::value> items;
    for (const Json& item : j) items.push_back(of(item, origin));
    return python::make_array(std::move(items));
  }
  jinja::value object_of(const Json& j, int origin) {
    auto out = jinja::mk_val<jinja::value_object>();
    for (const auto& [key, item] : j.items()) static_cast<jinja::value_t&>(*out).insert(string_of(key, origin), of(item, origin));
    return out;
  }
};

}  // namespace

struct JinjaTemplate::Impl {
  std::string source;
  jinja::program program;
  std::set<std::string, std::less<>> names;
};

JinjaTemplate::JinjaTemplate(const std::string& source) : impl_(std::make_unique<Impl>()) {
  require(source.size() <= source_limit, "chat template: {} bytes, more than {}", source.size(), source_limit);
  const size_t bad = find_invalid_utf8(source);
  require(bad == std::string::npos, "chat template: byte {} is not UTF-8", bad);
  impl_->source = with_plain_newlines(source);
  const python::Host host(work_limit, parse_depth_limit);
  try {
    const jinja::lexer_result lexed = jinja::lexer().tokenize(impl_->source);
    check_tags(lexed.tokens);
    for (const jinja::token& t : lexed.tokens)
      if (t.t == jinja::token::identifier || t.t == jinja::token::string_literal) impl_->names.insert(t.value);
    impl_->program = jinja::parse_from_tokens(lexed);
  } catch (const Error&) {
    throw;
  } catch (const std::exception& e) {
    refuse("chat template: {}", plain_error(e.what()));
  }
}
JinjaTemplate::JinjaTemplate(JinjaTemplate&&) noexcept = default;
JinjaTemplate& JinjaTemplate::operator=(JinjaTemplate&&) noexcept = default;
JinjaTemplate::~JinjaTemplate() = default;

bool JinjaTemplate::mentions(std::string_view name) const { return impl_->names.find(name) != impl_->names.end(); }

std::vector<OutputPart> JinjaTemplate::render(const Input& input) const {
  python::Host host(SIZE_MAX, render_depth_limit);
  try {
    InputValues values;
    jinja::context context(impl_->source);
    std::vector<jinja::value> messages;
    for (size_t i = 0; i < input.messages.size(); ++i) messages.push_back(values.message_of(input.messages[i], i));
    context.set_val("messages", python::make_array(std::move(messages)));
    context.set_val("tools", values.of(input.tools, Origin::tools));
    context.set_val("documents", python::make_none());
    if (!input.bos.empty()) context.set_val("bos_token", python::make_string(input.bos));
    if (!input.eos.empty()) context.set_val("eos_token", python::make_string(input.eos));
    context.set_val("add_generation_prompt", python::make_bool(input.add_generation_prompt));
    host.work_left = std::min(work_limit, work_base + work_per_byte * std::min(values.weight, work_limit / work_per_byte));
    std::vector<OutputPart> out;
    for (const auto& statement : impl_->program.body) {
      const auto value = statement->execute(context);
      for (const auto& part : value->val_str.parts) out.push_back({part.val, part.origin});
    }
    return out;
  } catch (const Error&) {
    throw;
  } catch (const std::exception& e) {
    refuse("chat template: {}", plain_error(e.what()));
  }
}

}  // namespace graft
