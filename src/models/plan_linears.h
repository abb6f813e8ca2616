#pragma once
// Linear layers that a fused block multiplies as one, as nn/folded_linears has them.
#include <algorithm>
#include <set>

#include "graft/nn/folded_linears.h"
#include "graft/ops/gate_updates.h"
#include "plan_block.h"

namespace graft {

inline const std::set<Role> in_qkv{Role::query, Role::key, Role::value, Role::query_key_value}, in_output{Role::attention_output},
    in_gate_up{Role::gate, Role::up, Role::gate_up}, in_down{Role::mlp_output};

struct Linears {
  int64_t in = 0, out = 0, pad = 0, room = 0;
  bool dense = true, drops = false, gains = false, in_gains = false;
  bool small = true;   // each layer has an update of a rank that the gate's passes serve

  Linears(const std::vector<SeatedSite>& sites, const std::set<Role>& roles, const Storage& storage) {
    int64_t ranks = 0;
    for (const SeatedSite& seated : sites) {
      const Site& site = *seated.site;
      if (!roles.contains(site.role())) continue;
      in = site.weight()->in_features(), out += site.weight()->out_features(), ranks += seated.rank;
      small = small && seated.rank > 0 && seated.rank <= most_gate_rank;
      dense = dense && !storage(site.path()), drops = drops || seated.drops, gains = gains || seated.gains, in_gains = in_gains || seated.in_gains;
    }
    pad = room_for(ranks), room = std::max(pad, room_for(1));
  }
  bool trains() const { return pad > 0 || gains || in_gains; }
  int64_t matrix() const { return (out + room) * (in + room); }
};

}  // namespace graft
