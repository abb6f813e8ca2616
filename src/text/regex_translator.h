#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "graft/core/error.h"

namespace graft {

/// Goes once through an Oniguruma pattern and writes what means the same to PCRE2.
class RegexTranslator {
 public:
  RegexTranslator(std::string_view pattern, std::string_view what) : in_(pattern), what_(what) {}
  std::string run();

 private:
  struct Group {
    size_t begin;    // in out_
    size_t options;  // isolated options inside, each opened as a group that ends with this one
  };
  /// The inside of a class: `body` between brackets, or `whole`, an expression that stands for the class (then body is empty).
  struct CharClass {
    std::string body, whole;
    bool negated = false;
    std::string expression() const { return whole.empty() ? (negated ? "[^" : "[") + body + "]" : whole; }
  };

  void item();
  void open_group();
  void open_options();
  void close_group();
  void simple_quantifier();
  void interval();
  /// What follows a backslash.
  std::string escape(bool in_class);
  std::string code_unit();
  /// A set of characters, given by the inside of a class, in its place.
  std::string class_or_stop(const std::string& set, bool negated, bool in_class, const std::string& name) const;
  /// A class whose '[' was read, up to its ']'.
  CharClass char_class(int depth);
  void class_item(CharClass& part, int depth);
  void posix_item(CharClass& part);
  void nested_class(CharClass& part, int depth);

  void stop_unless(bool ok, std::string_view fault) const {
    require(ok, "{}: the pattern has {}, which graft does not read (at byte {} of '{}')", what_, fault, at_, in_);
  }
  char peek(size_t ahead = 0) const { return at_ + ahead < in_.size() ? in_[at_ + ahead] : '\0'; }
  bool take(std::string_view text) {
    if (in_.substr(at_, text.size()) != text) return false;
    at_ += text.size();
    return true;
  }
  /// What stands before the next `end`, which is taken too.
  std::string up_to(std::string_view end, std::string_view fault) {
    const size_t found = in_.find(end, at_);
    stop_unless(found != std::string_view::npos, fault);
    std::string text(in_.substr(at_, found - at_));
    at_ = found + end.size();
    return text;
  }

  std::string_view in_, what_;
  size_t at_ = 0;
  size_t atom_ = 0;  // where in out_ the thing begins that a quantifier would repeat
  std::string out_;
  std::vector<Group> groups_;
};

}  // namespace graft
