// A checkpoint is a GGUF file of three tensors: its reader checks every size.
#include "train/checkpoint.h"

#include <fmt/format.h>

#include <array>
#include <cstring>
#include <memory>
#include <span>
#include <string_view>

#include "gguf/gguf_file.h"
#include "gguf/gguf_writer.h"

namespace reckon::train {
namespace {

constexpr const char* kWeights = "weights";
constexpr const char* kFirst = "adamw.first";
constexpr const char* kSecond = "adamw.second";

Status read_floats(const GgufFile& file, const char* name, int64_t n, float* out) {
  const GgufTensor* tensor = file.find_tensor(name);
  if (tensor == nullptr || tensor->type != TensorType::kF32 || tensor->n_elements != n) {
    return bad_file(fmt::format("{}: {}: expected {} float32 numbers, found {}", file.path(), name,
                                n, tensor == nullptr ? "none" : tensor->shape_text()));
  }
  std::memcpy(out, tensor->data, static_cast<size_t>(n) * sizeof(float));
  return {};
}

// A number that may be negative, as an unsigned key.
Result<int64_t> read_count(const GgufFile& file, const char* key) {
  RECKON_ASSIGN(const uint64_t value, file.require_uint(key));
  return static_cast<int64_t>(value) - 1;
}

}  // namespace

Status write_checkpoint(const std::string& path, const RunState& state, const float* weights,
                        Adamw& optimizer) {
  GgufWriter writer;
  const auto count = [&](const char* key, int64_t value) {
    writer.add_uint64(key, static_cast<uint64_t>(value + 1));
  };
  writer.add_string("general.architecture", "reckon-checkpoint");
  writer.add_string("run.fingerprint", state.fingerprint);
  count("run.steps_done", state.steps_done);
  count("run.epoch", state.epoch);
  count("run.index", state.index);
  count("run.best_step", state.best_step);
  count("run.n_worse", state.n_worse);
  std::array<int32_t, 2> best{};
  std::memcpy(best.data(), &state.best_figure, sizeof(double));
  writer.add_int32s("run.best_figure", best);
  writer.add_float32s("run.log", state.log);
  const int64_t n = optimizer.first().size();
  for (const char* name : {kWeights, kFirst, kSecond}) {
    writer.add_tensor(name, TensorType::kF32, std::span(&n, 1));
  }
  RECKON_RETURN_IF_ERROR(writer.begin(path));
  const auto bytes = [&](const float* data) {
    return std::as_bytes(std::span(data, static_cast<size_t>(n)));
  };
  RECKON_RETURN_IF_ERROR(writer.write_tensor_data(bytes(weights)));
  RECKON_RETURN_IF_ERROR(writer.write_tensor_data(bytes(optimizer.first().data())));
  RECKON_RETURN_IF_ERROR(writer.write_tensor_data(bytes(optimizer.second().data())));
  return writer.commit();
}

Status read_checkpoint(const std::string& path, const std::string& fingerprint, RunState& state,
                       float* weights, Adamw& optimizer) {
  RECKON_ASSIGN(const std::shared_ptr<const GgufFile> file, GgufFile::open(path));
  RECKON_ASSIGN(const std::string_view found, file->require_string("run.fingerprint"));
  if (found != fingerprint) {
    return usage_error(
        fmt::format("{}: made by a run with other settings or data; go on with "
                    "those, or begin anew without --resume.\n  there: {}\n  here: {}",
                    path, found, fingerprint));
  }
  state.fingerprint = fingerprint;
  RECKON_ASSIGN(state.steps_done, read_count(*file, "run.steps_done"));
  RECKON_ASSIGN(state.epoch, read_count(*file, "run.epoch"));
  RECKON_ASSIGN(state.index, read_count(*file, "run.index"));
  RECKON_ASSIGN(state.best_step, read_count(*file, "run.best_step"));
  RECKON_ASSIGN(state.n_worse, read_count(*file, "run.n_worse"));
  RECKON_ASSIGN(const GgufArray* best, file->get_array("run.best_figure", GgufValueType::kInt32));
  RECKON_ASSIGN(const GgufArray* log, file->get_array("run.log", GgufValueType::kFloat32));
  if (best == nullptr || best->raw.size() != sizeof(double) || log == nullptr) {
    return bad_file(path + ": expected a checkpoint, found other metadata");
  }
  std::memcpy(&state.best_figure, best->raw.data(), sizeof(double));
  state.log.resize(log->count);
  std::memcpy(state.log.data(), log->raw.data(), log->raw.size());
  const int64_t n = optimizer.first().size();
  RECKON_RETURN_IF_ERROR(read_floats(*file, kWeights, n, weights));
  RECKON_RETURN_IF_ERROR(read_floats(*file, kFirst, n, optimizer.first().data()));
  return read_floats(*file, kSecond, n, optimizer.second().data());
}

}  // namespace reckon::train
