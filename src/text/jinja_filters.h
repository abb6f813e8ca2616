#pragma once
// Filters on what can be iterated.
#include "jinja_values.h"

namespace graft::python {

value join_items(const Call&);
value first_item(const Call&);
value last_item(const Call&);
value list_items(const Call&);
value map_items(const Call&);
value select_items(const Call&);
value reject_items(const Call&);
value select_by_attribute(const Call&);
value reject_by_attribute(const Call&);
value dict_items(const Call&);
value dict_sorted(const Call&);
value sorted(const Call&);
value unique_items(const Call&);
value reversed(const Call&);
value sum_items(const Call&);
value smallest(const Call&);
value largest(const Call&);

}  // namespace graft::python
