// The tokenizer of a synth file: made up in the exact sizes and with R1's marks at their exact
// places, or copied from another file.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/result.h"
#include "gguf/gguf_file.h"
#include "gguf/gguf_writer.h"
#include "model/synth.h"

namespace reckon {

// R1's format in as few words as Jinja needs, for tokenizers made here.
inline constexpr std::string_view kR1ChatTemplate =
    "{{ bos_token }}{% for message in messages %}{% if message['role'] == 'system' %}"
    "{{ message['content'] }}{% elif message['role'] == 'user' %}"
    "{{ '<｜User｜>' + message['content'] }}{% elif message['role'] == 'assistant' %}"
    "{{ '<｜Assistant｜>' + message['content'].split('</think>')[-1] + '<｜end▁of▁sentence｜>' }}"
    "{% endif %}{% endfor %}{% if add_generation_prompt %}{{ '<｜Assistant｜><think>\\n' }}"
    "{% endif %}";

// Adds tokenizer.*, in the order of the published files. The text tokens are the 256 bytes and
// merges of Latin letters, so that any text can be encoded and comes back.
void add_made_up_tokenizer(const SynthShape& shape, GgufWriter& writer);

// Copies tokenizer.* from a file, with unused tokens added or dropped at the end to make
// vocab_size. Errors: kBadFile for a file without tokens, kUsage when tokens in use lie beyond
// vocab_size.
Status copy_tokenizer(const GgufFile& from, int64_t vocab_size, GgufWriter& writer);

// The number of tokens in a file's vocabulary. Errors: kBadFile for a file without tokens.
Result<int64_t> count_tokens(const GgufFile& from);

}  // namespace reckon
