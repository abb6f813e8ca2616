#pragma once
// The quantisation page's pictures, as <figure>s with captions that say how to read them; "" where there is nothing to show.
#include <string>
#include <vector>

#include "graft/quant/error_report.h"

namespace graft {

/// How a scheme appears wherever it does: colours are the formats', dashes tell schemes of one format apart.
struct SchemeLook {
  std::string name;     // nf4, blocks of 64, double quantisation
  std::string label;    // nf4 64 dq
  std::string css;      // c3 v1
};
std::vector<SchemeLook> looks_of(const ModelReport& report);

std::string cost_charts(const ModelReport& report, const std::vector<SchemeLook>& looks);
std::string weights_chart(const ModelReport& report);
std::string layer_charts(const ModelReport& report, const std::vector<SchemeLook>& looks);
std::string module_table(const ModelReport& report, const std::vector<SchemeLook>& looks);

std::string figure(std::string_view title, std::string_view caption, std::string_view content);

}  // namespace graft
