#include "graft/text/regex.h"
#include "graft/text/regex_classes.h"
#include "regex_translator.h"

namespace graft {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

}  // namespace

std::string translate_regex(std::string_view pattern, std::string_view what) { return RegexTranslator(pattern, what).run(); }

std::string RegexTranslator::run() {
  groups_.push_back({0, 0});
  while (at_ < in_.size()) item();
  stop_unless(groups_.size() == 1, "an open '('");
  out_.append(groups_.back().options, ')');
  return std::move(out_);
}

void RegexTranslator::item() {
  const char c = peek();
  if (c == '(') return open_group();
  if (c == ')') return close_group();
  if (c == '*' || c == '+' || c == '?') return simple_quantifier();
  if (c == '{') return interval();
  if ((static_cast<unsigned char>(c) & 0xC0) != 0x80) atom_ = out_.size();  // a character begins
  ++at_;
  if (c == '[') {
    out_ += char_class(0).expression();
  } else if (c == '\\') {
    out_ += escape(false);
  } else {
    out_ += c;
  }
}

void RegexTranslator::open_group() {
  const Group group{out_.size(), 0};
  if (take("(?#")) return void(up_to(")", "an open comment"));
  for (const std::string_view known : {"(?:", "(?=", "(?!", "(?>", "(?<=", "(?<!", "(?<"}) {  // the last is a name's
    if (!take(known)) continue;
    out_ += known;
    return groups_.push_back(group);
  }
  if (take("(?")) return open_options();
  stop_unless(peek(1) != '*', "'(*'");
  ++at_;
  out_ += '(';
  groups_.push_back(group);
}

void RegexTranslator::open_options() {
  const Group group{out_.size(), 0};
  std::string options;
  for (; peek() == 'i' || peek() == 'm' || peek() == '-'; ++at_) options += peek() == 'm' ? 's' : peek();
  out_ += "(?" + options + ":";
  if (take(":")) return groups_.push_back(group);
  stop_unless(take(")"), "this kind of group or option");
  ++groups_.back().options;  // Oniguruma: a(?i)b|c is a(?i:b|c)
}

void RegexTranslator::close_group() {
  stop_unless(groups_.size() > 1, "an unopened ')'");
  out_.append(groups_.back().options + 1, ')');
  atom_ = groups_.back().begin;
  groups_.pop_back();
  ++at_;
}

void RegexTranslator::simple_quantifier() {
  out_ += in_[at_++];
  if (peek() == '+' || peek() == '?') out_ += in_[at_++];
}

void RegexTranslator::interval() {
  size_t end = at_ + 1;
  std::string low, high;
  while (end < in_.size() && is_digit(in_[end])) low += in_[end++];
  const bool fixed = end < in_.size() && in_[end] == '}';
  if (end < in_.size() && in_[end] == ',') ++end;
  while (end < in_.size() && is_digit(in_[end])) high += in_[end++];
  if (end >= in_.size() || in_[end] != '}' || (low.empty() && high.empty())) {  // no interval: just a brace
    ++at_;
    atom_ = out_.size();
    out_ += "\\{";
    return;
  }
  at_ = end + 1;
  out_ += "{" + (low.empty() ? "0" : low) + (fixed ? "" : "," + high) + "}";
  // {n,m}+ repeats the repetition, {n}? makes it optional: neither is possessive or lazy here.
  if (peek() == '+' || (peek() == '?' && fixed)) {
    out_.insert(atom_, "(?:");
    out_ += ")";
  }
  if (peek() == '+' || peek() == '?') out_ += in_[at_++];
}

std::string RegexTranslator::escape(bool in_class) {
  stop_unless(at_ < in_.size(), "a lone '\\'");
  const char c = in_[at_++];
  if (c == 'p' || c == 'P') {
    stop_unless(take("{"), "\\p without '{'");
    const bool negated = take("^") != (c == 'P');
    const std::string name = up_to("}", "an open '\\p{'");
    return class_or_stop(property_class(name), negated, in_class, "the property " + name);
  }
  if (const std::string set(shorthand_class(c)); !set.empty())
    return class_or_stop(set, c < 'a', in_class, std::string("\\") + c);
  if (c == 'u') return code_unit();
  if (c == 'x' && take("{")) return "\\x{" + up_to("}", "an open '\\x{'") + "}";
  if (c == 'v') return "\\x{0b}";
  if (c == 'b' && in_class) return "\\x{08}";
  if (c == 'b' || c == 'B') return word_boundary(c == 'B');
  const std::string_view same = in_class ? "xntrfae" : "xntrfaeAzZGRXk";
  stop_unless(!is_letter(c) || same.find(c) != std::string_view::npos, std::string("\\") + c);
  return std::string("\\") + c;
}

std::string RegexTranslator::code_unit() {
  const std::string_view digits = in_.substr(at_, 4);
  stop_unless(digits.size() == 4 && digits.find_first_not_of("0123456789abcdefABCDEF") == std::string_view::npos, "\\u");
  at_ += 4;
  return "\\x{" + std::string(digits) + "}";
}

}  // namespace graft
