// The committed vocabulary (tools/tokenizer_goldens.py tiny): 256 bytes, some 640 merges of text in
// many scripts, and three whole words that no merge makes.
#pragma once

#include <gtest/gtest.h>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <memory>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/json.h"
#include "tokenizer/tokenizer.h"

namespace reckon {

inline boost::json::object read_json_fixture(const std::string& name) {
  const std::string path = RECKON_SOURCE_DIR "/tests/tokenizer/fixtures/" + name;
  auto text = read_file(path, uint64_t{1} << 26);
  if (!text.ok()) throw std::runtime_error(text.error().message);
  auto value = parse_json(*text, name);
  if (!value.ok()) throw std::runtime_error(value.error().message);
  return value->as_object();
}

inline std::vector<std::string> strings_of(const boost::json::value& list) {
  std::vector<std::string> strings;
  for (const auto& item : list.as_array()) strings.emplace_back(item.as_string());
  return strings;
}

inline std::vector<TokenId> ids_of(const boost::json::value& list) {
  std::vector<TokenId> ids;
  for (const auto& item : list.as_array()) ids.push_back(static_cast<TokenId>(item.as_int64()));
  return ids;
}

inline TokenizerSpec tiny_spec(const std::string& pre_tokenizer) {
  static const boost::json::object fixture = read_json_fixture("tiny_vocabulary.json");
  TokenizerSpec spec;
  spec.pre_tokenizer = pre_tokenizer;
  spec.tokens = strings_of(fixture.at("tokens"));
  spec.merges = strings_of(fixture.at("merges"));
  spec.kinds.assign(spec.tokens.size(), TokenKind::kNormal);
  return spec;
}

// Adds a token of its own and returns its id.
inline TokenId add_token(TokenizerSpec& spec, const std::string& spelling, TokenKind kind) {
  spec.tokens.push_back(spelling);
  spec.kinds.push_back(kind);
  return static_cast<TokenId>(spec.tokens.size() - 1);
}

inline std::shared_ptr<const Tokenizer> make_tokenizer(TokenizerSpec spec) {
  auto tokenizer = Tokenizer::create(std::move(spec));
  if (!tokenizer.ok()) throw std::runtime_error(tokenizer.error().message);
  return *tokenizer;
}

inline std::vector<TokenId> encode(const Tokenizer& tokenizer, std::string_view text,
                                   SpecialTokens special = SpecialTokens::kAsText) {
  std::vector<TokenId> ids;
  tokenizer.encode(text, special, ids);
  return ids;
}

}  // namespace reckon
