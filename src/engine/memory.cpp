// Reads Linux's figures and does the sums.
#include "engine/memory.h"

#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <charconv>
#include <fstream>
#include <span>
#include <string_view>

namespace reckon {
namespace {

constexpr int64_t kMiB = int64_t{1} << 20;
constexpr int64_t kGiB = int64_t{1} << 30;

// A small file of the kernel's. Those have no size of their own, so they are read to their end.
std::optional<std::string> kernel_file(const std::string& path) {
  std::ifstream file(path);
  if (!file) return std::nullopt;
  std::string text;
  std::string line;
  while (std::getline(file, line)) text += line + "\n";
  return text;
}

// The number after `name` at the beginning of a line, or empty.
std::optional<int64_t> field(std::string_view text, std::string_view name) {
  size_t at = 0;
  while (at < text.size()) {
    const size_t end = std::min(text.find('\n', at), text.size());
    std::string_view line = text.substr(at, end - at);
    at = end + 1;
    if (!line.starts_with(name)) continue;
    line.remove_prefix(name.size());
    line.remove_prefix(std::min(line.find_first_not_of(" \t:"), line.size()));
    int64_t value = 0;
    const auto parsed = std::from_chars(line.data(), line.data() + line.size(), value);
    if (parsed.ec == std::errc()) return value;
  }
  return std::nullopt;
}

std::optional<int64_t> number_file(const std::string& path) {
  const std::optional<std::string> text = kernel_file(path);
  return text ? field(*text, "") : std::nullopt;
}

// What one control group leaves: its limit less what it uses, its file pages given back.
std::optional<int64_t> left_in_group(const std::string& folder, std::string_view limit_name,
                                     std::string_view usage_name,
                                     std::span<const std::string_view> file_fields) {
  // "max" (version 2: no limit) is no number.
  const std::optional<int64_t> limit = number_file(fmt::format("{}/{}", folder, limit_name));
  const std::optional<int64_t> usage = number_file(fmt::format("{}/{}", folder, usage_name));
  // Version 1 says "no limit" by a number near 2^63.
  if (!limit || !usage || *limit >= int64_t{1} << 60) return std::nullopt;
  int64_t used = *usage;
  if (const std::optional<std::string> stat = kernel_file(folder + "/memory.stat")) {
    for (const std::string_view name : file_fields) used -= field(*stat, name).value_or(0);
  }
  return std::max<int64_t>(0, *limit - std::max<int64_t>(0, used));
}

// The least that the groups from `group` up to the hierarchy's root leave.
std::optional<int64_t> left_in_hierarchy(const std::string& mount, std::string group,
                                         std::string_view limit_name, std::string_view usage_name,
                                         std::span<const std::string_view> file_fields) {
  std::optional<int64_t> least;
  for (;;) {
    const std::optional<int64_t> left =
        left_in_group(mount + (group == "/" ? "" : group), limit_name, usage_name, file_fields);
    if (left && (!least || *left < *least)) least = left;
    const size_t slash = group.rfind('/');
    if (group.empty() || group == "/" || slash == std::string::npos) return least;
    group.resize(slash);
  }
}

std::optional<int64_t> left_in_control_groups(const std::string& root) {
  constexpr std::string_view kFileFieldsV2[] = {"inactive_file ", "active_file "};
  constexpr std::string_view kFileFieldsV1[] = {"total_inactive_file ", "total_active_file "};
  const std::optional<std::string> text = kernel_file(root + "/proc/self/cgroup");
  if (!text) return std::nullopt;
  std::optional<int64_t> least;
  size_t at = 0;
  while (at < text->size()) {
    const size_t end = std::min(text->find('\n', at), text->size());
    const std::string_view line = std::string_view(*text).substr(at, end - at);
    at = end + 1;
    // "0::/path" is version 2's; "4:cpu,memory:/path" version 1's.
    const size_t first = line.find(':');
    const size_t second = first == line.npos ? line.npos : line.find(':', first + 1);
    if (second == line.npos) continue;
    const std::string controllers = fmt::format(",{},", line.substr(first + 1, second - first - 1));
    const std::string group(line.substr(second + 1));
    std::optional<int64_t> left;
    if (controllers == ",,") {
      left = left_in_hierarchy(root + "/sys/fs/cgroup", group, "memory.max", "memory.current",
                               kFileFieldsV2);
    } else if (controllers.find(",memory,") != std::string::npos) {
      left = left_in_hierarchy(root + "/sys/fs/cgroup/memory", group, "memory.limit_in_bytes",
                               "memory.usage_in_bytes", kFileFieldsV1);
    }
    if (left && (!least || *left < *least)) least = left;
  }
  return least;
}

// What the process's own limit (ulimit -v) leaves; empty without one.
std::optional<int64_t> left_of_address_space() {
  struct rlimit limit{};
  if (::getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return std::nullopt;
  const std::optional<std::string> status = kernel_file("/proc/self/status");
  const int64_t used = status ? field(*status, "VmSize:").value_or(0) * 1024 : 0;
  return std::max<int64_t>(0, static_cast<int64_t>(limit.rlim_cur) - used);
}

// Room left for the rest of the machine: the plan must hold while other programs go on.
int64_t usable(int64_t available_bytes) {
  return available_bytes - std::min<int64_t>(512 * kMiB, available_bytes / 16);
}

int64_t kv_bytes(const MemoryNeeds& needs, int64_t context) {
  return needs.kv_bytes_per_token * context * needs.n_sequences;
}

// The largest context in steps that fits into `room` bytes of cache; 0 if not even the least does.
int64_t largest_context(const MemoryNeeds& needs, int64_t room) {
  const int64_t per_token = std::max<int64_t>(1, needs.kv_bytes_per_token * needs.n_sequences);
  const int64_t fitting = std::max<int64_t>(0, room) / per_token;
  if (fitting >= needs.model_context) return needs.model_context;
  const int64_t stepped = fitting / kContextStep * kContextStep;
  return stepped >= kLeastContext ? stepped : 0;
}

struct KnownModel {
  std::string_view name;
  int64_t weights_bytes;       // Q4_K_M
  int64_t kv_bytes_per_token;  // f16
};
// The distills, smallest first, in whole MiB.
constexpr KnownModel kKnownModels[] = {
    {"r1:1.5b", 1066 * kMiB, 28672},  {"r1:7b", 4466 * kMiB, 57344},
    {"r1:8b", 4693 * kMiB, 131072},   {"r1:14b", 8572 * kMiB, 196608},
    {"r1:32b", 18932 * kMiB, 262144},
};

std::string advice(const MemoryNeeds& needs, int64_t wanted, int64_t room, bool paged) {
  std::string advice;
  const auto add = [&](const std::string& option) {
    advice += (advice.empty() ? ": try " : " or ") + option;
  };
  // Powers of two are what people pass.
  int64_t context = 0;
  for (int64_t c = kLeastContext; needs.context_is_given && c < wanted; c *= 2) {
    if (kv_bytes(needs, c) + needs.working_bytes + (paged ? 0 : needs.weights_bytes) <= room) {
      context = c;
    }
  }
  if (context > 0) add(fmt::format("--ctx {}", context));
  const KnownModel* smaller = nullptr;
  for (const KnownModel& known : kKnownModels) {
    const int64_t at_4k = known.weights_bytes + known.kv_bytes_per_token * 4096 + 128 * kMiB;
    // Clearly smaller: another file of the same model is none.
    const bool is_smaller = known.weights_bytes < needs.weights_bytes / 10 * 9;
    if (is_smaller && at_4k <= room) smaller = &known;
  }
  if (smaller != nullptr) add(std::string(smaller->name));
  if (context == 0 && !paged) add("--paged (slow)");
  return advice;
}

}  // namespace

Result<int64_t> available_memory(const std::string& root) {
  const std::optional<std::string> meminfo = kernel_file(root + "/proc/meminfo");
  const std::optional<int64_t> kib = meminfo ? field(*meminfo, "MemAvailable:") : std::nullopt;
  if (!kib) return failed("/proc/meminfo: expected a line MemAvailable, found none");
  const int64_t machine = *kib * 1024;
  return std::min({machine, left_in_control_groups(root).value_or(machine),
                   left_of_address_space().value_or(machine)});
}

int64_t resident_peak() {
  const std::optional<std::string> status = kernel_file("/proc/self/status");
  return status ? field(*status, "VmHWM:").value_or(0) * 1024 : 0;
}

Result<MemoryPlan> plan_memory(const MemoryNeeds& needs, int64_t available_bytes,
                               std::optional<int64_t> wanted_context, bool paged) {
  if (wanted_context && (*wanted_context < 1 || *wanted_context > needs.model_context)) {
    return usage_error(
        fmt::format("context: expected 1 to {} tokens, the model's own limit, "
                    "found {}",
                    needs.model_context, *wanted_context));
  }
  const int64_t room = usable(available_bytes);
  const int64_t fixed = needs.working_bytes + (paged ? 0 : needs.weights_bytes);
  MemoryPlan plan{.context_length = wanted_context.value_or(largest_context(needs, room - fixed)),
                  .weights_bytes = needs.weights_bytes,
                  .kv_bytes = 0,
                  .working_bytes = needs.working_bytes,
                  .available_bytes = available_bytes};
  const bool none_fits = plan.context_length == 0;
  if (none_fits) plan.context_length = std::min(kLeastContext, needs.model_context);
  plan.kv_bytes = kv_bytes(needs, plan.context_length);
  if (none_fits || fixed + plan.kv_bytes > room) {
    return failed(fmt::format(
        "needs {} weights + {} cache at {}; {} free{}", format_bytes(needs.weights_bytes),
        format_bytes(plan.kv_bytes + plan.working_bytes), format_context(plan.context_length),
        format_bytes(available_bytes), advice(needs, plan.context_length, room, paged)));
  }
  return plan;
}

std::string format_bytes(int64_t bytes) {
  if (bytes >= kGiB / 2) {
    return fmt::format("{:.1f} GiB", static_cast<double>(bytes) / static_cast<double>(kGiB));
  }
  return fmt::format("{} MiB", (bytes + kMiB - 1) / kMiB);
}

std::string format_context(int64_t n_tokens) {
  if (n_tokens >= 1024 && n_tokens % 1024 == 0) return fmt::format("{}k", n_tokens / 1024);
  return std::to_string(n_tokens);
}

}  // namespace reckon
