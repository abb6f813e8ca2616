#include "graft/text/regex.h"

#include <gtest/gtest.h>

#include <chrono>

#include "graft/core/error.h"

namespace graft {
namespace {

std::vector<std::string> matches(const Regex& regex, const std::string& text) {
  std::vector<TextSpan> spans;
  regex.find_all(text, spans);
  std::vector<std::string> found;
  size_t at = 0;
  for (const TextSpan& span : spans) {
    EXPECT_EQ(span.begin, at) << "the spans must cover the text";
    at = span.end;
    if (span.is_match && span.begin < span.end) found.push_back(text.substr(span.begin, span.end - span.begin));
  }
  EXPECT_EQ(at, text.size());
  return found;
}

struct Case {
  const char* pattern;
  const char* text;
  std::vector<std::string> expected;  // what Oniguruma finds, asked through pip tokenizers 0.23.3
};

const Case cases[] = {
    {"\\s+", "a\u180e b\u0085\u2003c", {" ", "\u0085\u2003"}},
    {"\\h+", "xfF09g \tz", {"fF09"}},
    {"\\w+", "e\u0301a_1\u203f-x \u0967", {"e\u0301a_1\u203f", "x", "\u0967"}},
    {"a{,2}b", "aaab b", {"aab", "b"}},
    {"\\d{1,2}+", "12345a", {"12345"}},
    {"a{2}?b", "aab ab b", {"aab", "b", "b"}},
    {"a.b", "a\nb axb", {"axb"}},
    {"(?m)a.b", "a\nb axb", {"a\nb", "axb"}},
    {"a(?i)b|c", "aB ac C aC", {"aB", "ac", "aC"}},
    {"[a-z&&[^aeiou]]+", "hello", {"h", "ll"}},
    {"[^a-z&&[^aeiou]]+", "helloX", {"e", "oX"}},
    {"[\\w&&[^\\d_]]+", "ab1_c", {"ab", "c"}},
    {"\\p{Han}+", "漢、字〆々", {"漢", "字", "々"}},
    {"\\bfoo\\b", "foo e\u0301foo foo\u0301 foo", {"foo", "foo"}},
    {"\\s+$", "a  \nb \t\nc  ", {"  ", " \t", "  "}},
    {"^b", "a\nb\n", {"b"}},
    {"\\v",
     "a\x0b"
     "b\x0c"
     "c",
     {"\x0b"}},
    {"[[:alpha:]]+", "aé\u0345 1", {"aé\u0345"}},
    {"[[:^alpha:]]+", "ab12", {"12"}},
    {"[[:punct:]]+", "a$+!b\u00bf", {"$+!", "\u00bf"}},
    {"\\p{Punct}+", "a$!b", {"!"}},
    {"[a[0-9]c]+", "a1b2c", {"a1", "2c"}},
    {"(?i:'s|'ll)", "'S 'ſ 'LL 'K", {"'S", "'ſ", "'LL"}},
    {"\\p{^L}+", "ab12", {"12"}},
    {"x*", "axxb", {"xx"}},
    {"\\u00e9", "éa", {"é"}},
    {"\\x{1F600}+", "😀😀a", {"😀😀"}},
    {"\\x{41}", "A{41}", {"A"}},
    {"[!\\\"#\\]\\[\\\\^]+", "a[]^b", {"[]^"}},
    {"[^\\S\\n]+", "a \n b", {" ", " "}},
    {"(?<=a)b|(?<!a)c", "ab bc ac", {"b", "c"}},
    {"(?<n>a)\\k<n>", "aaa", {"aa"}},
    {"{a", "x{a", {"{a"}},
    {"a{1,", "a{1,", {"a{1,"}},
    {"[]a]+", "x]a", {"]a"}},
    {"]a(?#note)", "x]a", {"]a"}},
};

TEST(regex, matches_as_oniguruma) {
  for (const Case& c : cases) EXPECT_EQ(matches(Regex::compile(c.pattern, "test"), c.text), c.expected) << c.pattern;
}

TEST(regex, literal_is_not_a_pattern) {
  EXPECT_EQ(matches(Regex::literal("a.+"), "aab a.+ a.+"), (std::vector<std::string>{"a.+", "a.+"}));
}

TEST(regex, empty_match_right_behind_a_match_does_not_count) {
  std::vector<TextSpan> spans;
  Regex::compile("x*", "test").find_all("axb", spans);
  std::vector<std::pair<size_t, size_t>> found;
  for (const TextSpan& span : spans)
    if (span.is_match) found.emplace_back(span.begin, span.end);
  EXPECT_EQ(found, (std::vector<std::pair<size_t, size_t>>{{0, 0}, {1, 2}, {3, 3}}));
}

TEST(regex, refuses_by_name_what_it_does_not_translate) {
  const std::pair<const char*, const char*> refused[] = {{"(?x)a b", "group or option"},
                                                         {"(*FAIL)", "(*"},
                                                         {"a\\Qb", "\\Q"},
                                                         {"\\g<1>", "\\g"},
                                                         {"[\\W_]", "opposite"},
                                                         {"[a[^b]]", "joins"},
                                                         {"\\p{Nonsense}", "Nonsense"},
                                                         {"(a", "open '('"},
                                                         {"a)", "unopened"},
                                                         {"[a", "open '['"},
                                                         {"a\\", "lone"},
                                                         {"\\p{L", "open '\\p{'"},
                                                         {"(?~a)", "group or option"},
                                                         {"(?<=a+)b", "lookbehind"},
                                                         {"a**", "quantifier"}};
  for (const auto& [pattern, reason] : refused) {
    try {
      Regex::compile(pattern, "here");
      ADD_FAILURE() << pattern << " was taken";
    } catch (const RequestError& e) {
      EXPECT_TRUE(std::string(e.what()).starts_with("here: ")) << e.what();
      EXPECT_NE(std::string(e.what()).find(reason), std::string::npos) << pattern << ": " << e.what();
    }
  }
}

TEST(regex, hostile_patterns_end_in_an_error) {
  const auto start = std::chrono::steady_clock::now();
  for (const char* pattern : {"(a+)+$", "(a|aa)+$", "(?:(?:a+)+)+[xy]"}) {
    std::vector<TextSpan> spans;
    EXPECT_THROW(Regex::compile(pattern, "test").find_all(std::string(40000, 'a') + "c", spans), RequestError) << pattern;
  }
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(20));
}

TEST(regex, nested_classes_are_limited) {
  EXPECT_THROW(Regex::compile(std::string(1000, '['), "test"), RequestError);
  EXPECT_THROW(Regex::compile(std::string(100000, 'a'), "test"), RequestError);
}

}  // namespace
}  // namespace graft
