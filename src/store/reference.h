// What a person types for a model -> a checked reference: a name of the catalog ("r1:7b:q4_k_m"), a
// file of the hub ("hf:owner/repo/file.gguf"), a URL or a local file. Nothing is looked up here.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "base/result.h"

namespace reckon {

struct Reference {
  enum class Kind { kCatalog, kHub, kUrl, kFile };

  Kind kind = Kind::kCatalog;
  // kCatalog: "r1:7b" and "q4_k_m", which is empty for the default type.
  std::string model;
  // kCatalog and kHub ("hf:owner/repo:q8_0"): which of a repository's types; empty: the default.
  std::string type;
  // kHub: file is a path in the repository, "" to choose one by type. revision is "main" unless
  // "hf:owner/repo@REVISION/file" says otherwise.
  std::string owner;
  std::string repo;
  std::string revision;
  std::string file;
  std::string url;   // kUrl: http or https
  std::string path;  // kFile: as typed

  // The spelling that parse_reference reads back.
  std::string text() const;
  // The same, of the catalog's models with the type that is meant where none is named.
  std::string full_text() const;
};

// Errors: kUsage, naming what was expected: for unknown schemes (file: too), names with "..",
// backslashes, control characters, bytes outside ASCII or percent signs, and names too long.
Result<Reference> parse_reference(std::string_view text);

// The same for clients of Ollama, who also write "deepseek-r1:7b" for r1:7b,
// "hf.co/owner/repo:Q8_0" or "huggingface.co/…" for hf:owner/repo:q8_0, and ":latest" where no tag
// is meant.
Result<Reference> parse_ollama_name(std::string_view text);

// Whether text can stand for a model in the store: 1 to 200 of a-z A-Z 0-9 . _ - + = ( ) [ ] : / @
// and blanks, beginning with a letter or digit; of the parts between : / @ none empty, "." or "..",
// or with a blank at an end. Errors: kUsage.
Status check_model_name(std::string_view name);

// Whether one part of a path may become a file's name in the store: 1 to 200 of a-z A-Z 0-9 . _ - +
// = ( ) [ ] and blanks inside, no dot or hyphen in front. Errors: kBadFile; what names the source.
Status check_file_name(std::string_view name, std::string_view what);

inline constexpr size_t kMaxModelNameBytes = 200;
inline constexpr size_t kMaxFileNameBytes = 200;

}  // namespace reckon
