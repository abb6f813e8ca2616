#pragma once
// What quantising a model costs, as one HTML page to look at and pass on: a table, trade-offs, the weights' shape, errors by layer.
// Goals: one file that needs nothing else, light and dark, on a desk and on a phone; the same report gives the same bytes.
// Non-goals: measuring anything (graft/quant/error_report.h), comparing models.
#include <string>

#include "graft/quant/error_report.h"

namespace graft {

std::string quantization_page(const ModelReport& report);

}  // namespace graft
