// A Hugging Face tokenizer.json (and its tokenizer_config.json) -> TokenizerSpec: for convert,
// which writes the spec as GGUF metadata, and for tests that use vocabularies without a model file.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/result.h"
#include "tokenizer/tokenizer.h"

namespace reckon {

// tokenizer_json: the text of tokenizer.json. config_json: the text of tokenizer_config.json, or
// empty; from it come bos, eos, padding, add_bos and add_eos (without it add_bos is what the
// post_processor does, and the ids stay kNoToken unless the post_processor names them).
// n_tokens: the rows of the model's embedding, or 0 for as many as the file defines; ids that the
// file doesn't define become "[PAD<id>]" tokens of kind kUnused, as llama.cpp's converter does.
// The pre-tokenizer is recognised by its structure and named as in GGUF ("llama-bpe", "qwen2",
// "deepseek-r1-qwen", "deepseek-v3", "smollm", "gpt-2"); the two Qwen ones split alike, and a BOS
// before the text tells the R1 distills'.
// Errors: kBadFile naming the field: not JSON, a model other than byte-level BPE, an unknown
// pre-tokenizer, a normaliser that doesn't go with it (docs/decisions/0003), ids out of range or
// twice, a config that names an absent token.
Result<TokenizerSpec> parse_tokenizer_json(std::string_view tokenizer_json,
                                           std::string_view config_json = {}, int64_t n_tokens = 0);

}  // namespace reckon
