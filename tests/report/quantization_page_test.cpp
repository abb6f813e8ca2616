// The page as a browser meets it: whole, safe and without anything from elsewhere.
#include "graft/report/quantization_page.h"

#include <gtest/gtest.h>

#include <regex>

namespace graft {
namespace {

QuantizationError error_of(int64_t count, double noise) {
  QuantizationError error;
  error.count = count, error.bytes = count / 2 + count / 16;
  error.squared_value = static_cast<double>(count), error.squared_error = noise * static_cast<double>(count);
  error.squared_clipping = error.squared_error / 4, error.largest = std::sqrt(noise);
  return error;
}

SchemeReport scheme_report(const Scheme& scheme, const std::vector<std::string>& tensors, double noise) {
  SchemeReport report;
  report.scheme = scheme;
  for (const std::string& name : tensors) {
    report.tensors.push_back({name, error_of(4096, noise * (1 + 0.1 * static_cast<double>(report.tensors.size())))});
    report.total.add(report.tensors.back().error);
  }
  return report;
}

Scheme scheme(std::string_view format, int64_t block, bool double_quantization = false) {
  Scheme scheme;
  scheme.format = &format_of(format);
  scheme.grouping = block ? Grouping::block : Grouping::row;
  scheme.block_size = block, scheme.double_quantization = double_quantization;
  return scheme;
}

std::vector<std::string> layers(int count) {
  std::vector<std::string> names{"lm_head.weight"};
  for (int i = 0; i < count; ++i)
    for (const char* kind : {"self_attn.q_proj", "mlp.down_proj"}) names.push_back(fmt::format("model.layers.{}.{}.weight", i, kind));
  return names;
}

/// `count` schemes, on a text.
ModelReport report_of(int count) {
  ModelReport report;
  report.model = "a <b>model</b> & \"more\"";
  report.parameters = 4096, report.dense_parameters = 512;
  report.text = "<i>a text</i>", report.tokens = 1234567, report.perplexity = 12.5;
  for (size_t i = 0; i < 64; ++i) report.histogram[i] = std::exp(-0.01 * (static_cast<double>(i) - 31.5) * (static_cast<double>(i) - 31.5));
  const char* names[] = {"nf4", "fp4", "int4_affine", "int8_absmax"};
  for (int i = 0; i < count; ++i) {
    const bool rows = i % 4 == 3;
    report.schemes.push_back(scheme_report(scheme(names[i % 4], rows ? 0 : 32 << i / 4, !rows && i % 2), layers(3), (rows ? 1e-4 : 1e-2) * (1 + 0.1 * i)));
    report.schemes.back().perplexity = 12.6 + 0.1 * i, report.schemes.back().kl = (rows ? 1e-4 : 1e-2) * (1 + i);
  }
  return report;
}

size_t occurrences(std::string_view text, std::string_view part) {
  size_t count = 0;
  for (size_t at = text.find(part); at != std::string_view::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

void expect_sound(const std::string& page) {
  for (const char* tag : {"svg", "table", "thead", "tbody", "tr", "td", "th", "text", "g", "figure", "section", "div", "p", "title", "main", "html"}) {
    const std::regex open(fmt::format("<{}[ >]", tag));
    const auto opened = std::distance(std::sregex_iterator(page.begin(), page.end(), open), {});
    EXPECT_EQ(static_cast<size_t>(opened), occurrences(page, fmt::format("</{}>", tag))) << tag;
  }
  const std::regex coordinate("(?:d|x|y|cx|cy|r|viewBox|style|data-v)=\"[^\"]*(?:nan|inf)[^\"]*\"");
  EXPECT_FALSE(std::regex_search(page, coordinate));
  EXPECT_EQ(occurrences(page, "http"), 0u);
  EXPECT_EQ(occurrences(page, "url("), 0u);
  EXPECT_EQ(occurrences(page, " src="), 0u);
}

TEST(QuantizationPage, NamesEverySchemeAndIsSound) {
  for (const int count : {0, 1, 4, 28}) {
    const ModelReport report = report_of(count);
    const std::string page = quantization_page(report);
    expect_sound(page);
    for (const SchemeReport& scheme : report.schemes) EXPECT_NE(page.find("</i>" + describe(scheme.scheme) + "</th>"), std::string::npos);
    EXPECT_EQ(page, quantization_page(report));
  }
}

TEST(QuantizationPage, EscapesText) {
  ModelReport report = report_of(2);
  report.schemes[0].tensors[1].name = "model.layers.0.<script>.weight";
  const std::string page = quantization_page(report);
  EXPECT_NE(page.find("a &lt;b&gt;model&lt;/b&gt; &amp; &quot;more&quot;"), std::string::npos);
  EXPECT_NE(page.find("&lt;i&gt;a text&lt;/i&gt;, 1,234,567 tokens"), std::string::npos);
  EXPECT_NE(page.find(">&lt;script&gt;<"), std::string::npos);
  EXPECT_EQ(page.find("<b>model"), std::string::npos);
  EXPECT_EQ(occurrences(page, "<script>"), 1u);
}

TEST(QuantizationPage, LeavesOutWhatWasNotMeasured) {
  ModelReport report = report_of(4);
  EXPECT_NE(quantization_page(report).find(">KL</button>"), std::string::npos);
  report.text.clear(), report.perplexity.reset();
  for (SchemeReport& scheme : report.schemes) scheme.perplexity.reset(), scheme.kl.reset();
  const std::string page = quantization_page(report);
  expect_sound(page);
  for (const char* column : {">KL<", ">perplexity<", ">change<", "nats a token"}) EXPECT_EQ(page.find(column), std::string::npos) << column;
  EXPECT_NE(page.find("none measured"), std::string::npos);
}

TEST(QuantizationPage, DrawsErrorsOfNothing) {
  ModelReport report = report_of(4);
  for (SchemeReport& scheme : report.schemes) {   // no error at all: an infinite ratio
    scheme = scheme_report(scheme.scheme, layers(2), 0);
    scheme.kl = 0, scheme.perplexity = INFINITY;
  }
  const std::string page = quantization_page(report);
  expect_sound(page);
  EXPECT_NE(page.find("∞"), std::string::npos);
}

TEST(QuantizationPage, ShowsLayersOnlyWhereThereAreSome) {
  ModelReport report = report_of(3);
  EXPECT_NE(quantization_page(report).find("Layer by layer"), std::string::npos);
  for (SchemeReport& s : report.schemes) s.tensors = scheme_report(s.scheme, {"encoder.weight", "head"}, 1e-2).tensors;
  report.histogram = {};
  const std::string page = quantization_page(report);
  expect_sound(page);
  EXPECT_EQ(page.find("Layer by layer"), std::string::npos);
  EXPECT_EQ(page.find("Where the weights lie"), std::string::npos);
  EXPECT_NE(page.find(">encoder</th>"), std::string::npos);
  EXPECT_NE(page.find(">head</th>"), std::string::npos);
}

}  // namespace
}  // namespace graft
