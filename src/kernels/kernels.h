// The arithmetic, as raw-pointer functions behind one table. The table for the best instruction set
// the processor (and the operating system) offers is chosen once;
// RECKON_ISA=scalar|avx2|avx512|neon overrides. Every table gives the same bits: docs/numerics.md
// fixes each operation's order, tests compare with memcmp. Functions are noexcept and unchecked:
// the callers prove the shapes once.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/result.h"
#include "quants/tensor_type.h"

namespace reckon::kernels {

// How activations are handed to a product with weights of a given type.
enum class ActivationFormat {
  kF32,     // for F32, F16 and BF16 weights: as they are
  kQ8_32,   // blocks of 32 int8 with a float scale: for Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, IQ4_NL
  kQ8_256,  // blocks of 256 int8 with a float scale and sums: for the K quants and IQ4_XS
};

ActivationFormat activation_format(TensorType weight);
// Bytes of one activation row of n elements (n a multiple of the format's block).
size_t activation_row_bytes(ActivationFormat format, int64_t n);

// out[c * out_stride + r] = sum over k of weights[r][k] * activations[c][k],
// for r in [row_begin, row_end), c in [0, n_columns). Rows of weights lie weight_row_bytes apart,
// columns of activations activation_row_bytes(format, depth) apart, 64-byte aligned at the start.
struct GemmArgs {
  const void* weights;
  int64_t weight_row_bytes;
  const void* activations;
  float* out;
  int64_t out_stride;  // floats
  int64_t depth;       // elements of a row, a multiple of the weight type's block
  int64_t row_begin;
  int64_t row_end;
  int64_t n_columns;
  // Rows before this one are packed (kernels/packed.h), the others lie as in the file. A multiple
  // of kPackedRows; row_begin is then one as well, and so is row_end unless it is the last row's.
  int64_t n_packed_rows = 0;
};
using GemmFunction = void (*)(const GemmArgs&) noexcept;

enum class KvType : uint32_t { kF16, kQ8 };

// Positions of one tile of the cache, and of one step of attention: tiles start at multiples of it,
// whatever the batch or chunk, so that the order of the sums depends on positions alone.
inline constexpr int64_t kAttentionTile = 64;
// Positions whose sums are taken apart from the others', and joined to theirs in ascending order:
// what threads can share out when one token looks back far.
inline constexpr int64_t kAttentionSegment = 16 * kAttentionTile;

// Bytes of one head's tile of keys or values, a multiple of 64 for any head_dim (kQ8: a multiple of
// 32). How a tile lies is between store_k, store_v and attention: kernels/activations.h.
size_t k_tile_bytes(KvType type, int64_t head_dim);
size_t v_tile_bytes(KvType type, int64_t head_dim);

// Queries of consecutive tokens of one sequence, of the heads that share one KV head, in one pass
// over the cache (Milakov and Gimelshein 2018: softmax with a running maximum).
struct AttentionArgs {
  const float* queries;  // token t, head h: queries + t * token_stride + h * head_dim
  float* out;            // likewise
  int64_t token_stride;  // floats
  int64_t n_tokens;
  int64_t n_heads;
  int64_t head_dim;
  float scale;
  KvType kv_type;
  const std::byte* const* k_tiles;  // 64-byte aligned, by position / kAttentionTile
  const std::byte* const* v_tiles;
  int64_t first_position;  // of token 0: token t attends to positions 0 ... first_position + t
  // attention: which segments to sum, all from 0 or a single one.
  int64_t segment_begin;
  int64_t segment_end;
  float* states;   // attention_state_floats(queries, head_dim): what attention has summed
  float* scratch;  // attention_scratch_floats(queries, head_dim)
};
size_t attention_state_floats(int64_t n_queries, int64_t head_dim);
size_t attention_scratch_floats(int64_t n_queries, int64_t head_dim);

struct KernelTable {
  const char* name;   // "scalar", "avx2", "avx512", "neon"
  bool reads_packed;  // gemm takes packed rows

  // x [n] -> out, activation_row_bytes(format, n) bytes.
  void (*quantize_q8_32)(const float* x, int64_t n, void* out) noexcept;
  void (*quantize_q8_256)(const float* x, int64_t n, void* out) noexcept;

  // Product for a weight type; activations in activation_format(type).
  GemmFunction (*gemm)(TensorType weight) noexcept;

  // out[i] = x[i] / sqrt(mean(x^2) + epsilon) * weight[i] (Zhang and Sennrich 2019, eq. 4).
  void (*rms_norm)(const float* x, const float* weight, float epsilon, int64_t n,
                   float* out) noexcept;
  // x[i] += y[i].
  void (*add)(float* x, const float* y, int64_t n) noexcept;
  // out[i] = silu(gate[i]) * up[i] (Shazeer 2020, SwiGLU). out may be gate.
  void (*silu_mul)(const float* gate, const float* up, int64_t n, float* out) noexcept;
  // Rotates the pairs of one head in place. cos_sin [head_dim / 2] cosines then as many sines.
  // half-split (NEOX): pairs (i, i + rotated / 2); interleaved (NORM): pairs (2i, 2i + 1).
  void (*rope_half_split)(float* head, const float* cos_sin, int64_t n_rotated) noexcept;
  void (*rope_interleaved)(float* head, const float* cos_sin, int64_t n_rotated) noexcept;
  // x [head_dim] -> one position of a tile.
  void (*store_k)(KvType type, const float* x, int64_t head_dim, int64_t position_in_tile,
                  void* tile) noexcept;
  void (*store_v)(KvType type, const float* x, int64_t head_dim, int64_t position_in_tile,
                  void* tile) noexcept;
  // Sums the segments into args.states.
  void (*attention)(const AttentionArgs&) noexcept;
  // Joins the states, one of all segments or n_states of one each, and writes the result to out.
  void (*attention_output)(const AttentionArgs&, int64_t n_states) noexcept;
  // Sum over exp(x[i] - max): the normaliser of a softmax; out[i] = exp(x[i] - max).
  float (*exp_sum)(const float* x, float max, int64_t n, float* out) noexcept;
};

// Whether this processor and operating system can run the named table.
bool table_available(const char* name);
// The table of that name, or an error that lists those this machine can run.
Result<const KernelTable*> find_table(const char* name);
// The one in use: RECKON_ISA's, or the best. Errors: kUsage when RECKON_ISA names none that runs.
Result<const KernelTable*> default_table();

// The version of docs/numerics.md that these kernels follow.
inline constexpr int kNumericsVersion = 2;

}  // namespace reckon::kernels
