// A Hugging Face folder's tokenizer files <-> tokenizer.ggml.* (and general.sampling.*) of GGUF.
#pragma once

#include <string>

#include "base/result.h"
#include "gguf/gguf_file.h"
#include "gguf/gguf_writer.h"
#include "model/convert_config.h"
#include "tokenizer/tokenizer.h"

namespace reckon {

// From tokenizer.json, tokenizer_config.json, chat_template.jinja and generation_config.json (all
// but the first may be missing). Errors: kBadFile naming file and field.
Status add_tokenizer(const std::string& folder, const HfConfig& config, GgufWriter& writer);

// Writes a tokenizer that was trained here: tokenizer.json at path, and beside it
// tokenizer_config.json with R1's chat template. Errors: kBadFile for a pre-tokenizer that has no
// counterpart there, kFailed when a file can't be written.
Status write_trained_tokenizer(const TokenizerSpec& spec, const std::string& path);

// Writes tokenizer.json, tokenizer_config.json and generation_config.json, and puts the special
// tokens' ids into config. Errors: kBadFile for a pre-tokenizer that has no counterpart there.
Status write_tokenizer(const GgufFile& file, const std::string& folder, HfConfig& config);

}  // namespace reckon
