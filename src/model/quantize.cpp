// Streams a model file's tensors through decode_row and encode_row, a window of pieces at a time.
#include "model/quantize.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "gguf/gguf_file.h"
#include "gguf/gguf_writer.h"
#include "quants/codec.h"

namespace reckon {
namespace {

// A piece is what one thread converts at a time: a whole number of blocks of every type, since a
// row is a whole number of blocks and 256 is a multiple of every block.
constexpr int64_t kPieceElements = 64 * 1024;
// Pieces of a window per thread: enough to even out threads of different speed.
constexpr int64_t kPiecesPerThread = 8;
// The largest half. Scales are halves, so that most formats reach farther, each by its own factor;
// no sound weight comes anywhere near, and one limit is easier to explain.
constexpr float kLargestHalf = 65504.0f;
constexpr float kLargestBfloat16 = 0x1.fep127f;
// The version of ggml's block formats, unchanged since 2023.
constexpr uint32_t kQuantizationVersion = 2;

// The largest magnitude that may go from one type into the other.
float largest_of(TensorType from, TensorType to) {
  if (to == from || to == TensorType::kF32) return std::numeric_limits<float>::max();
  return to == TensorType::kBF16 ? kLargestBfloat16 : kLargestHalf;
}

void copy_metadata(const GgufFile& in, QuantizeTarget target, GgufWriter& writer) {
  const auto add_ours = [&](std::string_view key) {
    const bool is_version = key == "general.quantization_version";
    writer.add_uint32(key,
                      is_version ? kQuantizationVersion : quantize_target_info(target).file_type);
  };
  constexpr std::string_view kOurs[] = {"general.file_type", "general.quantization_version"};
  for (const GgufKeyValue& pair : in.metadata()) {
    if (pair.key.starts_with("split.")) continue;  // the shards become one file
    if (pair.key == kOurs[0] || pair.key == kOurs[1]) {
      add_ours(pair.key);
    } else {
      writer.add_value(pair.key, pair.value);
    }
  }
  for (const std::string_view key : kOurs) {
    if (!writer.has(key)) add_ours(key);
  }
}

class TensorConverter {
 public:
  TensorConverter(const GgufFile& in, ThreadPool& pool, GgufWriter& writer)
      : in_(in), pool_(pool), writer_(writer), values_(static_cast<size_t>(pool.n_threads())) {
    for (std::vector<float>& values : values_) values.resize(kPieceElements);
  }

  // on_bytes(n) tells of n more bytes of input done; false stops.
  template <class OnBytes>
  Status convert(const GgufTensor& tensor, TensorType to, const OnBytes& on_bytes) {
    const int64_t window_elements = kPieceElements * kPiecesPerThread * pool_.n_threads();
    for (int64_t first = 0; first < tensor.n_elements; first += window_elements) {
      const int64_t n = std::min(window_elements, tensor.n_elements - first);
      RECKON_RETURN_IF_ERROR(convert_window(tensor, to, first, n));
      RECKON_RETURN_IF_ERROR(writer_.write_tensor_data(encoded_));
      if (!on_bytes(static_cast<uint64_t>(row_bytes(tensor.type, n)))) {
        return Error{ErrorKind::kInterrupted, "stopped; nothing was written"};
      }
    }
    if (!in_.shards().empty()) {
      in_.shards()[static_cast<size_t>(tensor.shard)].advise(tensor.file_offset, tensor.bytes,
                                                             MappedFile::Advice::kDontNeed);
    }
    return {};
  }

 private:
  static constexpr int64_t kNone = std::numeric_limits<int64_t>::max();

  // Elements [first, first + n) of the tensor -> encoded_.
  Status convert_window(const GgufTensor& tensor, TensorType to, int64_t first, int64_t n) {
    encoded_.resize(static_cast<size_t>(row_bytes(to, n)));
    std::atomic<int64_t> first_bad{kNone};
    const int64_t n_pieces = (n + kPieceElements - 1) / kPieceElements;
    pool_.parallel_for(n_pieces, [&](int64_t piece, int thread) {
      const int64_t begin = piece * kPieceElements;
      const int64_t count = std::min(kPieceElements, n - begin);
      float* values = values_[static_cast<size_t>(thread)].data();
      const std::byte* blocks = tensor.data + row_bytes(tensor.type, first + begin);
      decode_row(tensor.type, blocks, values, count);
      const int64_t bad = first_unfit(values, count, largest_of(tensor.type, to));
      if (bad < count) {
        lower_to(first_bad, first + begin + bad);
        return;
      }
      std::byte* out = encoded_.data() + row_bytes(to, begin);
      if (to == tensor.type) {
        std::memcpy(out, blocks, static_cast<size_t>(row_bytes(to, count)));
      } else {
        encode_row(to, values, out, count);
      }
    });
    if (first_bad == kNone) return {};
    return unfit_error(tensor, to, first_bad);
  }

  static int64_t first_unfit(const float* values, int64_t n, float largest) {
    for (int64_t i = 0; i < n; ++i) {
      if (!(std::fabs(values[i]) <= largest)) return i;
    }
    return n;
  }

  static void lower_to(std::atomic<int64_t>& lowest, int64_t value) {
    int64_t seen = lowest;
    while (value < seen && !lowest.compare_exchange_weak(seen, value)) {
    }
  }

  Error unfit_error(const GgufTensor& tensor, TensorType to, int64_t element) const {
    const int64_t block = tensor_type_info(tensor.type).block_elements;
    const int64_t block_first = element / block * block;
    std::vector<float> values(static_cast<size_t>(block));
    const std::byte* data = tensor.data + row_bytes(tensor.type, block_first);
    decode_row(tensor.type, data, values.data(), block);
    const float value = values[static_cast<size_t>(element - block_first)];
    const int64_t row_length = tensor.dims[0];
    const std::string place =
        tensor.n_dims == 1 ? fmt::format("[{}]", element)
                           : fmt::format("[{}, {}]", element / row_length, element % row_length);
    const std::string expected =
        std::isfinite(value) ? fmt::format("a magnitude of at most {} to go into {}",
                                           largest_of(tensor.type, to), tensor_type_info(to).name)
                             : std::string("a finite number");
    return bad_file(fmt::format("{}: {}{}: expected {}, found {}", in_.path(), tensor.name, place,
                                expected, value));
  }

  const GgufFile& in_;
  ThreadPool& pool_;
  GgufWriter& writer_;
  std::vector<std::vector<float>> values_;  // [n_threads][kPieceElements]
  std::vector<std::byte> encoded_;
};

}  // namespace

Status quantize_file(const std::string& in, const std::string& out, QuantizeTarget target,
                     ThreadPool& pool, const QuantizeProgressCallback& progress) {
  RECKON_ASSIGN(const std::shared_ptr<const GgufFile> file, GgufFile::open(in));
  RECKON_ASSIGN(const ModelConfig config, read_config(*file));
  const MixFacts facts{config.architecture, config.n_layers, config.n_heads, config.n_kv_heads,
                       file->find_tensor("output.weight") == nullptr};
  GgufWriter writer;
  copy_metadata(*file, target, writer);
  std::vector<TensorType> types;
  for (const GgufTensor& tensor : file->tensors()) {
    const std::span<const int64_t> dims(tensor.dims.data(), static_cast<size_t>(tensor.n_dims));
    types.push_back(choose_tensor_type(target, tensor.name, dims, facts, tensor.type));
    writer.add_tensor(tensor.name, types.back(), dims);
  }
  RECKON_RETURN_IF_ERROR(writer.begin(out));
  TensorConverter converter(*file, pool, writer);
  QuantizeProgress state;
  state.n_tensors = static_cast<int64_t>(types.size());
  state.bytes = file->tensor_bytes();
  for (const GgufTensor& tensor : file->tensors()) {
    state.tensor = tensor.name;
    state.from = tensor.type;
    state.to = types[static_cast<size_t>(state.tensors_done)];
    RECKON_RETURN_IF_ERROR(converter.convert(tensor, state.to, [&](uint64_t bytes) {
      state.bytes_done += bytes;
      return !progress || progress(state);
    }));
    ++state.tensors_done;
  }
  for (const MappedFile& shard : file->shards()) RECKON_RETURN_IF_ERROR(shard.check_unchanged());
  return writer.commit();
}

}  // namespace reckon
