// What an adapter is to a plan: it is seated in the outline, looked at, and let go.
#include <algorithm>
#include <set>

#include "graft/core/error.h"
#include "graft/peft/graft_adapter.h"
#include "graft/peft/method.h"
#include "graft/peft/qat.h"
#include "plan_parts.h"

namespace graft {
namespace {

constexpr const char* planned_name = "planned";

/// Stands where the base's own values are trained, which an outline has not.
class TrainedValues : public Adapter {
 public:
  Tensor forward(const Tensor&, const Frozen&, const Batch&) override { fail("a plan runs nothing"); }
};

/// The seats are empty again, whatever happens.
struct Seats {
  Transformer& outline;
  explicit Seats(Transformer& o) : outline(o) { outline.set_fused(true); }
  Seats(const Seats&) = delete;
  ~Seats() { remove_adapter(outline, planned_name); }
};

int64_t flat_room(int64_t numbers) { return (numbers + 63) / 64 * 64; }

/// Each parameter once: a trunk may be shared by all.
void count_parameters(const Transformer& outline, Adapters& all) {
  for (const auto& [name, tensor] : parameters(outline, planned_name)) {
    const int64_t numbers = tensor.numel();
    all.held += tensor.requires_grad() ? flat_room(numbers) : numbers;
    if (tensor.requires_grad()) all.trained += numbers, all.flat += flat_room(numbers);
  }
}

void count_values(const Transformer& outline, const Site& site, Adapters& all) {
  const int64_t numbers = numbers_of(site);
  all.trained += numbers, all.held += flat_room(numbers), all.flat += flat_room(numbers);
  const bool tied = site.role() == Role::words && outline.tied_head();
  if (tied || site.role() == Role::head) all.head_gradient = numbers * 4, all.tied = tied;
}

}  // namespace

Adapters adapters_of(Transformer& outline, const AdapterOptions& options, const QuantizationOptions& quantization) {
  Adapters all;
  const Seats seats(outline);
  const auto method = make_method(options);
  const bool by_values = options.method == "full" || options.method == "head";
  const auto sites = target_sites(outline, options);
  const GraftSetting setting{.fresh = false};
  if (!by_values) method->prepare(outline, sites, setting);
  for (Site* site : saved_sites(outline, options)) all.seats[site] = {site, Taken::values};
  for (Site* site : sites) {
    all.seats[site] = {site, by_values ? Taken::values : Taken::method};
    if (!by_values) site->seat(planned_name, method->make(*site, setting));
  }
  count_parameters(outline, all);
  all.prompt = outline.virtual_tokens(planned_name).slots, all.prefix = outline.virtual_tokens(planned_name).prefix;
  for (const auto& [site, seated] : all.seats) {
    if (seated.taken != Taken::values) continue;
    count_values(outline, *site, all);
    if (!site->adapter(planned_name)) const_cast<Site*>(site)->seat(planned_name, std::make_shared<TrainedValues>());
  }
  add_fake_quantization(outline, planned_name, quantization);
  for (auto& [site, seated] : all.seats) {
    const auto adapter = site->adapter(planned_name);
    if (const auto update = adapter ? adapter->trained_factors() : std::nullopt)
      seated.rank = update->rank(), seated.drops = update->dropout > 0, seated.gains = update->magnitude.defined(), seated.in_gains = update->in_gain.defined();
  }
  for (int64_t i = 0; i < outline.layers(); ++i) all.fused.push_back(outline.fuses(i, {planned_name})), all.fusable.push_back(outline.fuses(i, {""}));
  return all;
}

}  // namespace graft
