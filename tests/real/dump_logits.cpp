// dump_logits MODEL.gguf TEXT OUT [THREADS [CHUNKS [f16|q8 [ADAPTER]]]]: the logits of a model over
// a text as raw float32, for tools/kl_reference.py, which describes the file and which positions
// are kept. f16 or q8 is the type of the cache. OUT.tokens gets the chunks' ids (int32). For
// measurements by hand; no part of the product.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <numeric>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "forward/cpu_decoder.h"
#include "forward/kv_cache.h"
#include "gguf/gguf_file.h"
#include "kernels/kernels.h"
#include "model/adapter.h"
#include "model/model.h"
#include "tokenizer/tokenizer.h"

namespace reckon {
namespace {

constexpr int64_t kChunk = 512;
constexpr int64_t kFirst = kChunk / 2;

struct Arguments {
  std::string model, text, out;
  int n_threads = 2;
  int64_t max_chunks = INT64_MAX;
  kernels::KvType kv_type = kernels::KvType::kF16;
  std::string adapter;
};

template <class T>
std::span<const std::byte> bytes_of(const std::vector<T>& values) {
  return std::as_bytes(std::span(values));
}

Status dump(const Arguments& arguments) {
  RECKON_ASSIGN(const std::shared_ptr<const GgufFile> file, GgufFile::open(arguments.model));
  RECKON_ASSIGN(const std::shared_ptr<const Tokenizer> tokenizer, Tokenizer::from_gguf(*file));
  RECKON_ASSIGN(const std::shared_ptr<Model> model, Model::load(file));
  if (!arguments.adapter.empty()) {
    RECKON_ASSIGN(const Adapter adapter, read_adapter(arguments.adapter, model->config()));
    model->set_adapters({adapter});
  }
  RECKON_ASSIGN(const kernels::KernelTable* const table, kernels::default_table());
  CpuDecoderOptions options;
  options.n_pages = kChunk / kPagePositions;
  options.max_batch_tokens = kChunk;
  options.kv_type = arguments.kv_type;
  options.n_threads = arguments.n_threads;
  options.kernels = table;
  RECKON_ASSIGN(const std::unique_ptr<CpuDecoder> decoder, CpuDecoder::create(model, options));
  RECKON_ASSIGN(const std::string text, read_file(arguments.text, uint64_t{1} << 30));

  std::vector<TokenId> ids;
  tokenizer->encode(text, SpecialTokens::kAsText, ids);
  const int64_t n_chunks =
      std::min(static_cast<int64_t>(ids.size()) / kChunk, arguments.max_chunks);
  ids.resize(static_cast<size_t>(n_chunks * kChunk));
  RECKON_ASSIGN(AtomicFileWriter ids_out, AtomicFileWriter::create(arguments.out + ".tokens"));
  RECKON_RETURN_IF_ERROR(ids_out.write(bytes_of(ids)));
  RECKON_RETURN_IF_ERROR(ids_out.commit());

  RECKON_ASSIGN(AtomicFileWriter out, AtomicFileWriter::create(arguments.out));
  std::vector<PageId> pages(static_cast<size_t>(options.n_pages));
  std::iota(pages.begin(), pages.end(), 0);
  const int64_t n_kept = kChunk - kFirst;
  const auto row = static_cast<size_t>(model->config().vocab_size);
  std::vector<float> logits(static_cast<size_t>(n_kept) * row);
  for (int64_t chunk = 0; chunk < n_chunks; ++chunk) {
    const std::span<TokenId> tokens(ids.data() + chunk * kChunk, static_cast<size_t>(kChunk));
    if (tokenizer->add_bos()) tokens[0] = tokenizer->bos();
    const SequenceStep step = {
        .tokens = tokens, .first_position = 0, .pages = pages, .n_logits = n_kept};
    RECKON_RETURN_IF_ERROR(decoder->step({&step, 1}, logits));
    // The chunk's last token predicts nothing that is in it.
    RECKON_RETURN_IF_ERROR(
        out.write(std::as_bytes(std::span(logits)).first((n_kept - 1) * row * sizeof(float))));
    fmt::print(stderr, "chunk {} of {}\n", chunk + 1, n_chunks);
  }
  return out.commit();
}

}  // namespace
}  // namespace reckon

int main(int argc, char** argv) {
  if (argc < 4 || argc > 8) {
    fmt::print(stderr,
               "usage: dump_logits MODEL.gguf TEXT OUT [THREADS [CHUNKS [f16|q8 [ADAPTER]]]]\n");
    return 2;
  }
  reckon::Arguments arguments{.model = argv[1], .text = argv[2], .out = argv[3]};
  const auto number = [&](int i, auto& value) {
    if (argc <= i) return true;
    const std::string_view word = argv[i];
    return std::from_chars(word.data(), word.data() + word.size(), value).ec == std::errc();
  };
  if (!number(4, arguments.n_threads) || !number(5, arguments.max_chunks)) {
    fmt::print(stderr, "dump_logits: expected numbers after OUT\n");
    return 2;
  }
  const std::string_view kv_type = argc > 6 ? argv[6] : "f16";
  if (kv_type != "f16" && kv_type != "q8") {
    fmt::print(stderr, "dump_logits: expected f16 or q8 after CHUNKS\n");
    return 2;
  }
  if (kv_type == "q8") arguments.kv_type = reckon::kernels::KvType::kQ8;
  if (argc > 7) arguments.adapter = argv[7];
  const reckon::Status status = reckon::dump(arguments);
  if (!status.ok()) fmt::print(stderr, "dump_logits: {}\n", status.error().message);
  return status.ok() ? 0 : 1;
}
