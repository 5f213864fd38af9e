// The layers, in the order of the paper's equations: norm, attention, norm, SwiGLU (Touvron et al.
// 2023, section 2.2). Every loop is cut into pieces whose arithmetic is fixed; the pool only
// decides who takes which.
#include "forward/cpu_decoder.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <new>
#include <utility>

#include "base/check.h"
#include "kernels/scalar_math.h"
#include "quants/codec.h"

namespace reckon {
namespace {

using kernels::activation_format;
using kernels::activation_row_bytes;
using kernels::ActivationFormat;

// Rows of a product one piece computes: a few hundred kilobytes of weights at the model's widths,
// so that handing out costs nothing and slow cores still get their share.
constexpr int64_t kRowsPerPiece = 32;
// Elements one piece adds.
constexpr int64_t kAddPerPiece = 16384;
constexpr size_t kAlignment = 64;

// Memory aligned for the widest vectors.
class AlignedBuffer {
 public:
  AlignedBuffer() = default;
  explicit AlignedBuffer(size_t bytes) {
    const size_t rounded = (bytes + kAlignment - 1) / kAlignment * kAlignment;
    data_.reset(
        static_cast<std::byte*>(std::aligned_alloc(kAlignment, std::max(rounded, kAlignment))));
    if (data_ == nullptr) throw std::bad_alloc();
  }
  std::byte* bytes() const { return data_.get(); }
  float* floats() const { return reinterpret_cast<float*>(data_.get()); }

 private:
  struct Free {
    void operator()(std::byte* p) const { std::free(p); }
  };
  std::unique_ptr<std::byte, Free> data_;
};

int64_t widest_input(const ModelConfig& config) {
  return std::max({config.d_model, config.q_dim(), config.ffn_dim});
}

// Floats of each scratch buffer, by one table so that prediction and allocation can't differ.
struct ScratchPlan {
  int64_t hidden, normed, queries, keys, values, attended, gate, up, rotary, attention;
  int64_t packed_bytes;  // of one activation format

  ScratchPlan(const ModelConfig& c, int64_t n_tokens, int n_threads)
      : hidden(n_tokens * c.d_model),
        normed(n_tokens * c.d_model),
        queries(n_tokens * c.q_dim()),
        keys(n_tokens * c.kv_dim()),
        values(n_tokens * c.kv_dim()),
        attended(n_tokens * c.q_dim()),
        gate(n_tokens * c.ffn_dim),
        up(n_tokens * c.ffn_dim),
        rotary(n_tokens * c.n_rotated),
        attention(static_cast<int64_t>(
                      kernels::attention_scratch_floats(c.n_heads / c.n_kv_heads, c.head_dim)) *
                  n_threads),
        packed_bytes(n_tokens * packed_row_bytes(widest_input(c))) {}

  // A quantised row takes at most what its elements and a generous share of scales take.
  static int64_t packed_row_bytes(int64_t n) {
    const int64_t padded = (n + 255) / 256 * 256;
    return static_cast<int64_t>(std::max(activation_row_bytes(ActivationFormat::kQ8_32, padded),
                                         activation_row_bytes(ActivationFormat::kQ8_256, padded)));
  }

  int64_t total_bytes() const {
    return (hidden + normed + queries + keys + values + attended + gate + up + rotary + attention) *
               static_cast<int64_t>(sizeof(float)) +
           2 * packed_bytes;
  }
};

}  // namespace

struct CpuDecoder::Scratch {
  AlignedBuffer hidden;     // [n_tokens, d_model], the residual stream
  AlignedBuffer normed;     // [n_tokens, d_model]; also a block's output before it is added
  AlignedBuffer queries;    // [n_tokens, n_heads, head_dim]
  AlignedBuffer keys;       // [n_tokens, n_kv_heads, head_dim]
  AlignedBuffer values;     // [n_tokens, n_kv_heads, head_dim]
  AlignedBuffer attended;   // [n_tokens, n_heads, head_dim]
  AlignedBuffer gate;       // [n_tokens, ffn_dim]
  AlignedBuffer up;         // [n_tokens, ffn_dim]
  AlignedBuffer rotary;     // [n_tokens, n_rotated]: cosines, then sines
  AlignedBuffer attention;  // attention_scratch_floats a thread
  AlignedBuffer packed_32;  // quantised input, kQ8_32
  AlignedBuffer packed_256;
  // Page pointers of the layer at hand: [sequence][kv_head][page], K then V.
  std::vector<const std::byte*> page_rows;
  std::vector<size_t> first_page_row;  // of each sequence, into page_rows
  std::vector<int64_t> output_rows;    // batch tokens whose logits are wanted

  explicit Scratch(const ScratchPlan& plan)
      : hidden(floats(plan.hidden)),
        normed(floats(plan.normed)),
        queries(floats(plan.queries)),
        keys(floats(plan.keys)),
        values(floats(plan.values)),
        attended(floats(plan.attended)),
        gate(floats(plan.gate)),
        up(floats(plan.up)),
        rotary(floats(plan.rotary)),
        attention(floats(plan.attention)),
        packed_32(static_cast<size_t>(plan.packed_bytes)),
        packed_256(static_cast<size_t>(plan.packed_bytes)) {}

  static size_t floats(int64_t n) { return static_cast<size_t>(n) * sizeof(float); }
};

int64_t cpu_decoder_scratch_bytes(const ModelConfig& config, int64_t max_batch_tokens,
                                  int n_threads) {
  return ScratchPlan(config, max_batch_tokens, n_threads).total_bytes();
}

Result<std::unique_ptr<CpuDecoder>> CpuDecoder::create(std::shared_ptr<const Model> model,
                                                       const CpuDecoderOptions& options) try {
  RECKON_CHECK(options.kernels != nullptr && options.max_batch_tokens >= 1);
  RECKON_ASSIGN(KvCache cache, KvCache::create(model->config(), options.kv_type, options.n_pages));
  return std::unique_ptr<CpuDecoder>(new CpuDecoder(std::move(model), options, std::move(cache)));
} catch (const std::bad_alloc&) {
  return failed("out of memory for the decoder's working buffers");
}

CpuDecoder::CpuDecoder(std::shared_ptr<const Model> model, const CpuDecoderOptions& options,
                       KvCache cache)
    : model_(std::move(model)),
      kernels_(*options.kernels),
      pool_(options.n_threads),
      cache_(std::move(cache)) {
  const ModelConfig& config = model_->config();
  shape_ = {.vocab_size = config.vocab_size,
            .page_positions = kPagePositions,
            .n_pages = options.n_pages,
            .context_length = config.context_length,
            .max_batch_tokens = options.max_batch_tokens};
  places_.reserve(static_cast<size_t>(options.max_batch_tokens));
  scratch_ =
      std::make_unique<Scratch>(ScratchPlan(config, options.max_batch_tokens, options.n_threads));
}

CpuDecoder::~CpuDecoder() = default;

Status CpuDecoder::step(std::span<const SequenceStep> batch, std::span<float> logits) {
  const int64_t n_logits = place_tokens(batch);
  RECKON_CHECK(static_cast<int64_t>(logits.size()) == n_logits * shape_.vocab_size);
  if (places_.empty()) return {};
  embed();
  for (int64_t layer = 0; layer < model_->config().n_layers; ++layer) {
    attention_block(layer, batch);
    ffn_block(layer);
  }
  RECKON_RETURN_IF_ERROR(output_logits(logits));
  // Weights that somebody shortened or wrote to meanwhile have given no logits worth having.
  for (const MappedFile& shard : model_->file().shards()) {
    RECKON_RETURN_IF_ERROR(shard.check_unchanged());
  }
  return {};
}

int64_t CpuDecoder::place_tokens(std::span<const SequenceStep> batch) {
  places_.clear();
  scratch_->output_rows.clear();
  for (size_t s = 0; s < batch.size(); ++s) {
    const SequenceStep& sequence = batch[s];
    const auto n_tokens = static_cast<int64_t>(sequence.tokens.size());
    const int64_t end = sequence.first_position + n_tokens;
    RECKON_CHECK(sequence.first_position >= 0 && sequence.n_logits <= n_tokens &&
                 end <= static_cast<int64_t>(sequence.pages.size()) * kPagePositions);
    for (const PageId page : sequence.pages) RECKON_CHECK(page >= 0 && page < shape_.n_pages);
    for (int64_t i = 0; i < n_tokens; ++i) {
      const TokenId token = sequence.tokens[static_cast<size_t>(i)];
      RECKON_CHECK(token >= 0 && token < shape_.vocab_size);
      if (i >= n_tokens - sequence.n_logits) {
        scratch_->output_rows.push_back(static_cast<int64_t>(places_.size()));
      }
      places_.push_back({token, sequence.first_position + i, static_cast<int64_t>(s)});
    }
  }
  RECKON_CHECK(static_cast<int64_t>(places_.size()) <= shape_.max_batch_tokens);
  return static_cast<int64_t>(scratch_->output_rows.size());
}

void CpuDecoder::embed() {
  const ModelConfig& config = model_->config();
  const Matrix& table = model_->token_embedding();
  const std::vector<double>& frequencies = model_->rope_frequencies();
  pool_.parallel_for(static_cast<int64_t>(places_.size()), [&](int64_t t, int) {
    const TokenPlace& place = places_[static_cast<size_t>(t)];
    decode_row(table.type, table.data + place.token * table.row_bytes,
               scratch_->hidden.floats() + t * config.d_model, config.d_model);
    float* cosines = scratch_->rotary.floats() + t * config.n_rotated;
    float* sines = cosines + config.n_rotated / 2;
    for (size_t i = 0; i < frequencies.size(); ++i) {
      double sine = 0.0;
      double cosine = 0.0;
      exact_sin_cos(static_cast<double>(place.position) * frequencies[i], &sine, &cosine);
      cosines[i] = static_cast<float>(cosine);
      sines[i] = static_cast<float>(sine);
    }
  });
}

void CpuDecoder::attention_block(int64_t layer, std::span<const SequenceStep> batch) {
  const ModelConfig& config = model_->config();
  const LayerWeights& weights = model_->layers()[static_cast<size_t>(layer)];
  const auto n_tokens = static_cast<int64_t>(places_.size());
  float* hidden = scratch_->hidden.floats();
  float* normed = scratch_->normed.floats();

  normalise(hidden, weights.attn_norm, n_tokens, normed);
  const std::array<Product, 3> projections = {Product{&weights.attn_q, scratch_->queries.floats()},
                                              Product{&weights.attn_k, scratch_->keys.floats()},
                                              Product{&weights.attn_v, scratch_->values.floats()}};
  multiply(normed, n_tokens, projections);
  rotate_and_store(layer, batch);
  attend(layer, batch);
  const Product output = {&weights.attn_output, normed};
  multiply(scratch_->attended.floats(), n_tokens, {&output, 1});
  add_rows(hidden, normed, n_tokens * config.d_model);
}

// Adds the biases, rotates queries and keys to their positions and puts keys and values into the
// cache, from which even this chunk reads them back: a token's attention sees the same bits whether
// its neighbours came in the same chunk or earlier.
void CpuDecoder::rotate_and_store(int64_t layer, std::span<const SequenceStep> batch) {
  const ModelConfig& config = model_->config();
  const LayerWeights& weights = model_->layers()[static_cast<size_t>(layer)];
  const auto rotate = config.rope_layout == RopeLayout::kHalfSplit ? kernels_.rope_half_split
                                                                   : kernels_.rope_interleaved;
  const auto add_bias = [&](float* x, const Vector& bias) {
    if (!bias.empty()) kernels_.add(x, bias.data(), static_cast<int64_t>(bias.size()));
  };
  pool_.parallel_for(static_cast<int64_t>(places_.size()), [&](int64_t t, int) {
    const TokenPlace& place = places_[static_cast<size_t>(t)];
    float* q = scratch_->queries.floats() + t * config.q_dim();
    float* k = scratch_->keys.floats() + t * config.kv_dim();
    float* v = scratch_->values.floats() + t * config.kv_dim();
    const float* cos_sin = scratch_->rotary.floats() + t * config.n_rotated;
    add_bias(q, weights.attn_q_bias);
    add_bias(k, weights.attn_k_bias);
    add_bias(v, weights.attn_v_bias);
    for (int64_t h = 0; h < config.n_heads; ++h) {
      rotate(q + h * config.head_dim, cos_sin, config.n_rotated);
    }
    const SequenceStep& sequence = batch[static_cast<size_t>(place.sequence)];
    const PageId page = sequence.pages[static_cast<size_t>(place.position / kPagePositions)];
    const int64_t offset = place.position % kPagePositions * cache_.row_bytes();
    for (int64_t h = 0; h < config.n_kv_heads; ++h) {
      rotate(k + h * config.head_dim, cos_sin, config.n_rotated);
      kernels_.store_kv(cache_.type(), k + h * config.head_dim, config.head_dim,
                        cache_.k_rows(page, layer, h) + offset);
      kernels_.store_kv(cache_.type(), v + h * config.head_dim, config.head_dim,
                        cache_.v_rows(page, layer, h) + offset);
    }
  });
}

void CpuDecoder::attend(int64_t layer, std::span<const SequenceStep> batch) {
  const ModelConfig& config = model_->config();
  const int64_t group = config.n_heads / config.n_kv_heads;
  const auto scratch_floats =
      static_cast<int64_t>(kernels::attention_scratch_floats(group, config.head_dim));
  const float scale = 1.0f / std::sqrt(static_cast<float>(config.head_dim));

  std::vector<const std::byte*>& rows = scratch_->page_rows;
  rows.clear();
  scratch_->first_page_row.clear();
  for (const SequenceStep& sequence : batch) {
    scratch_->first_page_row.push_back(rows.size());
    for (int64_t h = 0; h < config.n_kv_heads; ++h) {
      for (const PageId page : sequence.pages) rows.push_back(cache_.k_rows(page, layer, h));
      for (const PageId page : sequence.pages) rows.push_back(cache_.v_rows(page, layer, h));
    }
  }
  const int64_t n_pieces = static_cast<int64_t>(places_.size()) * config.n_kv_heads;
  pool_.parallel_for(n_pieces, [&](int64_t piece, int thread) {
    const int64_t t = piece / config.n_kv_heads;
    const int64_t h = piece % config.n_kv_heads;
    const TokenPlace& place = places_[static_cast<size_t>(t)];
    const size_t n_pages = batch[static_cast<size_t>(place.sequence)].pages.size();
    const std::byte* const* page_k = rows.data() +
                                     scratch_->first_page_row[static_cast<size_t>(place.sequence)] +
                                     static_cast<size_t>(h) * 2 * n_pages;
    const int64_t first_query = t * config.q_dim() + h * group * config.head_dim;
    kernels_.attention({.queries = scratch_->queries.floats() + first_query,
                        .out = scratch_->attended.floats() + first_query,
                        .n_queries = group,
                        .head_dim = config.head_dim,
                        .scale = scale,
                        .kv_type = cache_.type(),
                        .page_k = page_k,
                        .page_v = page_k + n_pages,
                        .page_positions = kPagePositions,
                        .n_positions = place.position + 1,
                        .scratch = scratch_->attention.floats() + thread * scratch_floats});
  });
}

void CpuDecoder::ffn_block(int64_t layer) {
  const ModelConfig& config = model_->config();
  const LayerWeights& weights = model_->layers()[static_cast<size_t>(layer)];
  const auto n_tokens = static_cast<int64_t>(places_.size());
  float* hidden = scratch_->hidden.floats();
  float* normed = scratch_->normed.floats();
  float* gate = scratch_->gate.floats();
  float* up = scratch_->up.floats();

  normalise(hidden, weights.ffn_norm, n_tokens, normed);
  const std::array<Product, 2> projections = {Product{&weights.ffn_gate, gate},
                                              Product{&weights.ffn_up, up}};
  multiply(normed, n_tokens, projections);
  pool_.parallel_for(n_tokens, [&](int64_t t, int) {
    float* row = gate + t * config.ffn_dim;
    kernels_.silu_mul(row, up + t * config.ffn_dim, config.ffn_dim, row);
  });
  const Product down = {&weights.ffn_down, normed};
  multiply(gate, n_tokens, {&down, 1});
  add_rows(hidden, normed, n_tokens * config.d_model);
}

Status CpuDecoder::output_logits(std::span<float> logits) {
  const int64_t d = model_->config().d_model;
  const std::vector<int64_t>& rows = scratch_->output_rows;
  if (rows.empty()) return {};
  // The wanted rows move up to the front, where they lie together; row i never comes from before i.
  float* hidden = scratch_->hidden.floats();
  for (size_t i = 0; i < rows.size(); ++i) {
    const auto row = static_cast<int64_t>(i);
    if (rows[i] != row) {
      std::memcpy(hidden + row * d, hidden + rows[i] * d, static_cast<size_t>(d) * sizeof(float));
    }
  }
  const auto n_rows = static_cast<int64_t>(rows.size());
  normalise(hidden, model_->output_norm(), n_rows, scratch_->normed.floats());
  const Product head = {&model_->output(), logits.data()};
  multiply(scratch_->normed.floats(), n_rows, {&head, 1});

  std::atomic<bool> all_finite = true;
  pool_.parallel_for(n_rows, [&](int64_t i, int) {
    const float* row = logits.data() + i * shape_.vocab_size;
    // x - x is 0 for every finite x and NaN otherwise.
    float difference = 0.0f;
    for (int64_t v = 0; v < shape_.vocab_size; ++v) difference += row[v] - row[v];
    if (difference != 0.0f || std::isnan(difference)) all_finite = false;
  });
  if (!all_finite) {
    return failed(fmt::format("{}: its logits are not finite: the weights are damaged",
                              model_->file().path()));
  }
  return {};
}

void CpuDecoder::normalise(const float* x, const Vector& weight, int64_t n_rows, float* out) {
  const ModelConfig& config = model_->config();
  pool_.parallel_for(n_rows, [&](int64_t t, int) {
    kernels_.rms_norm(x + t * config.d_model, weight.data(), config.rms_epsilon, config.d_model,
                      out + t * config.d_model);
  });
}

void CpuDecoder::multiply(const float* input, int64_t n_columns,
                          std::span<const Product> products) {
  const int64_t depth = products[0].matrix->cols;
  bool wants_32 = false;
  bool wants_256 = false;
  int64_t n_pieces = 0;
  for (const Product& product : products) {
    const ActivationFormat format = activation_format(product.matrix->type);
    wants_32 |= format == ActivationFormat::kQ8_32;
    wants_256 |= format == ActivationFormat::kQ8_256;
    n_pieces += (product.matrix->rows + kRowsPerPiece - 1) / kRowsPerPiece;
  }
  std::byte* packed_32 = scratch_->packed_32.bytes();
  std::byte* packed_256 = scratch_->packed_256.bytes();
  if (wants_32 || wants_256) {
    pool_.parallel_for(n_columns, [&](int64_t c, int) {
      const float* row = input + c * depth;
      if (wants_32) {
        const size_t bytes = activation_row_bytes(ActivationFormat::kQ8_32, depth);
        kernels_.quantize_q8_32(row, depth, packed_32 + static_cast<size_t>(c) * bytes);
      }
      if (wants_256) {
        const size_t bytes = activation_row_bytes(ActivationFormat::kQ8_256, depth);
        kernels_.quantize_q8_256(row, depth, packed_256 + static_cast<size_t>(c) * bytes);
      }
    });
  }
  pool_.parallel_for(n_pieces, [&](int64_t piece, int) {
    const Product* product = products.data();
    for (;; ++product) {
      const int64_t pieces = (product->matrix->rows + kRowsPerPiece - 1) / kRowsPerPiece;
      if (piece < pieces) break;
      piece -= pieces;
    }
    const Matrix& matrix = *product->matrix;
    const ActivationFormat format = activation_format(matrix.type);
    const void* activations = input;
    if (format == ActivationFormat::kQ8_32) activations = packed_32;
    if (format == ActivationFormat::kQ8_256) activations = packed_256;
    const int64_t first_row = piece * kRowsPerPiece;
    kernels_.gemm(matrix.type)({.weights = matrix.data,
                                .weight_row_bytes = matrix.row_bytes,
                                .activations = activations,
                                .out = product->out,
                                .out_stride = matrix.rows,
                                .depth = depth,
                                .row_begin = first_row,
                                .row_end = std::min(first_row + kRowsPerPiece, matrix.rows),
                                .n_columns = n_columns,
                                .n_packed_rows = matrix.n_packed_rows});
  });
}

void CpuDecoder::add_rows(float* x, const float* y, int64_t n_values) {
  const int64_t n_pieces = (n_values + kAddPerPiece - 1) / kAddPerPiece;
  pool_.parallel_for(n_pieces, [&](int64_t piece, int) {
    const int64_t begin = piece * kAddPerPiece;
    kernels_.add(x + begin, y + begin, std::min(kAddPerPiece, n_values - begin));
  });
}

}  // namespace reckon
