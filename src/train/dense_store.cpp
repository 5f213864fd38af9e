// Places in the two arenas.
#include "train/dense_store.h"

namespace reckon::train {

Result<std::unique_ptr<DenseStore>> DenseStore::create(const NetworkShape& shape,
                                                       const FloatOps& ops, bool with_gradients) {
  std::unique_ptr<DenseStore> store(new DenseStore(shape, ops));
  const int64_t n = store->layout_.n_floats;
  RECKON_ASSIGN(store->weights_, FloatArena::create(n, "the weights"));
  if (with_gradients) {
    RECKON_ASSIGN(store->gradients_, FloatArena::create(n, "the gradients"));
  }
  return store;
}

void DenseStore::clear_gradients() { ops_.clear(gradients(), gradients_.size()); }

LayerPointers DenseStore::layer(int64_t layer) {
  const LayerPlaces& p = layout_.layers[static_cast<size_t>(layer)];
  const float* w = weights();
  return {.attn_norm = w + p.attn_norm,
          .qkv = w + p.qkv,
          .qkv_bias = p.qkv_bias < 0 ? nullptr : w + p.qkv_bias,
          .attn_output = w + p.attn_output,
          .ffn_norm = w + p.ffn_norm,
          .gate_up = w + p.gate_up,
          .down = w + p.down};
}

void DenseStore::add_gradient(int64_t layer, LayerMatrix matrix, const float* dy, const float* x,
                              int64_t n) {
  const LayerPlaces& p = layout_.layers[static_cast<size_t>(layer)];
  const MatrixSize size = layer_matrix_size(shape_, matrix);
  int64_t place = p.qkv;
  if (matrix == LayerMatrix::kAttnOutput) place = p.attn_output;
  if (matrix == LayerMatrix::kGateUp) place = p.gate_up;
  if (matrix == LayerMatrix::kDown) place = p.down;
  ops_.gemm({.a = dy,
             .a_row_stride = 1,
             .a_depth_stride = size.rows,
             .b = x,
             .b_stride = size.cols,
             .b_panel_stride = kernels::kPanelColumns,
             .out = gradients() + place,
             .out_stride = size.cols,
             .rows = size.rows,
             .columns = size.cols,
             .depth = n,
             .accumulate = true,
             .scratch = nullptr});
}

WeightStore::VectorGradients DenseStore::vector_gradients(int64_t layer) {
  const LayerPlaces& p = layout_.layers[static_cast<size_t>(layer)];
  float* g = gradients();
  return {.attn_norm = g + p.attn_norm,
          .qkv_bias = p.qkv_bias < 0 ? nullptr : g + p.qkv_bias,
          .ffn_norm = g + p.ffn_norm};
}

}  // namespace reckon::train
