// The regular expressions by which tokenizer.json files state their pre-tokenizers: recognised when
// one is read, written when one is made. The splitting itself is in pre_tokenizer.cpp.
#pragma once

#include <string_view>

namespace reckon {

inline constexpr std::string_view kLlama3Pattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|)"
    R"( ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
inline constexpr std::string_view kQwenPattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}|)"
    R"( ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
// DeepSeek-V3 applies three in turn; the third has line breaks themselves, not their escapes.
inline constexpr std::string_view kDeepSeekPattern1 = R"(\p{N}{1,3})";
inline constexpr std::string_view kDeepSeekPattern2 = "[一-龥぀-ゟ゠-ヿ]+";
inline constexpr std::string_view kDeepSeekPattern3 =
    R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|)"
    "[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\r\n]*|"
    "\\s*[\r\n]+|\\s+(?!\\S)|\\s+";

}  // namespace reckon
