// Parsing of references and the rules for names.
#include "store/reference.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <vector>

#include "base/ascii.h"
#include "base/json.h"
#include "store/catalog.h"
#include "store/url.h"

namespace reckon {
namespace {

constexpr std::string_view kHub = "hf:";

bool is_name_character(unsigned char c) {
  return c < 0x80 && (std::isalnum(c) != 0 || c == '.' || c == '_' || c == '-');
}

bool is_one_of(char c, std::string_view set) { return set.find(c) != std::string_view::npos; }

bool is_file_name_character(char c) {
  return is_name_character(static_cast<unsigned char>(c)) || is_one_of(c, "+=()[] ");
}

// An owner, a repository, a type or a revision.
Status check_part(std::string_view part, std::string_view what, std::string_view whole) {
  const bool good = !part.empty() && part.size() <= 96 &&
                    std::all_of(part.begin(), part.end(), is_name_character) &&
                    part.front() != '.' && part.front() != '-';
  if (good) return {};
  return usage_error(
      fmt::format("{}: expected {} of 1 to 96 letters, digits, dots, low lines and "
                  "hyphens, found {}",
                  excerpt(whole), what, excerpt(part)));
}

// "owner/repo[@revision][:type]" or "owner/repo[@revision]/path/file.gguf".
Result<Reference> parse_hub(std::string_view text) {
  Reference reference;
  reference.kind = Reference::Kind::kHub;
  std::string_view rest = text.substr(kHub.size());
  const size_t slash = rest.find('/');
  if (slash == std::string_view::npos) {
    return usage_error(fmt::format("{}: expected hf:OWNER/REPOSITORY[/FILE]", excerpt(text)));
  }
  reference.owner = rest.substr(0, slash);
  rest.remove_prefix(slash + 1);
  const size_t end = std::min(rest.find_first_of("@/:"), rest.size());
  reference.repo = rest.substr(0, end);
  rest.remove_prefix(end);
  reference.revision = "main";
  if (rest.starts_with('@')) {
    const size_t stop = std::min(rest.find_first_of("/:", 1), rest.size());
    reference.revision = rest.substr(1, stop - 1);
    rest.remove_prefix(stop);
  }
  RECKON_RETURN_IF_ERROR(check_part(reference.owner, "an owner", text));
  RECKON_RETURN_IF_ERROR(check_part(reference.repo, "a repository", text));
  RECKON_RETURN_IF_ERROR(check_part(reference.revision, "a revision", text));
  if (rest.starts_with(':')) {
    reference.type = rest.substr(1);
    RECKON_RETURN_IF_ERROR(check_part(reference.type, "a type such as q4_k_m", text));
  } else if (!rest.empty()) {
    reference.file = rest.substr(1);
    if (!reference.file.ends_with(".gguf")) {
      return usage_error(fmt::format("{}: expected a file that ends in .gguf", excerpt(text)));
    }
  }
  const Status named = check_model_name(text);
  if (!named.ok()) return named.error();
  return reference;
}

Result<Reference> parse_catalog_name(std::string_view text) {
  Reference reference;
  const size_t first = text.find(':');
  const size_t second = std::min(text.find(':', first + 1), text.size());
  reference.model = text.substr(0, second);
  if (second < text.size()) {
    reference.type = text.substr(second + 1);
    RECKON_RETURN_IF_ERROR(check_part(reference.type, "a type such as q4_k_m", text));
  }
  if (find_in_catalog(reference.model) != nullptr) return reference;
  std::string known;
  for (const CatalogModel& model : catalog()) known += (known.empty() ? "" : ", ") + model.name;
  return usage_error(
      fmt::format("{}: no such model is known; expected one of {}, or "
                  "hf:OWNER/REPOSITORY[/FILE], a URL or a file",
                  excerpt(text), known));
}

}  // namespace

std::string Reference::text() const {
  switch (kind) {
    case Kind::kCatalog: return type.empty() ? model : model + ":" + type;
    case Kind::kHub: {
      std::string all = std::string(kHub) + owner + "/" + repo;
      if (revision != "main") all += "@" + revision;
      if (!file.empty()) return all + "/" + file;
      return type.empty() ? all : all + ":" + type;
    }
    case Kind::kUrl: return url;
    case Kind::kFile: return path;
  }
  return {};
}

std::string Reference::full_text() const {
  const CatalogModel* known =
      kind == Kind::kCatalog && type.empty() ? find_in_catalog(model) : nullptr;
  return known == nullptr ? text() : known->full_name();
}

Result<Reference> parse_reference(std::string_view text) {
  if (text.find('\0') != std::string_view::npos || text.empty()) {
    return usage_error(fmt::format("expected a model's name, found {}", excerpt(text)));
  }
  if (text.starts_with(kHub)) return parse_hub(text);
  Reference reference;
  if (text.starts_with("http:") || text.starts_with("https:")) {
    RECKON_ASSIGN(const Url url, parse_url(text));
    reference.kind = Reference::Kind::kUrl;
    reference.url = url.text();
    return reference;
  }
  const bool is_path = text.starts_with('/') || text.starts_with("./") || text.starts_with("../") ||
                       (text.ends_with(".gguf") && text.find(':') == std::string_view::npos);
  if (is_path) {
    reference.kind = Reference::Kind::kFile;
    reference.path = text;
    return reference;
  }
  return parse_catalog_name(text);
}

Result<Reference> parse_ollama_name(std::string_view text) {
  constexpr std::string_view kLatest = ":latest";
  if (text.ends_with(kLatest)) text.remove_suffix(kLatest.size());
  for (const std::string_view host : {"hf.co/", "huggingface.co/"}) {
    if (!text.starts_with(host)) continue;
    const std::string name = std::string(kHub) + std::string(text.substr(host.size()));
    RECKON_ASSIGN(Reference reference, parse_hub(name));
    reference.type = ascii_lower(reference.type);
    return reference;
  }
  for (const CatalogModel& model : catalog()) {
    const std::vector<std::string>& names = model.ollama_names;
    if (std::find(names.begin(), names.end(), text) == names.end()) continue;
    Reference reference;
    reference.model = model.name;
    return reference;
  }
  return parse_reference(text);
}

Status check_model_name(std::string_view name) {
  bool good =
      !name.empty() && name.size() <= kMaxModelNameBytes &&
      std::all_of(name.begin(), name.end(),
                  [](char c) { return is_file_name_character(c) || is_one_of(c, ":/@"); }) &&
      std::isalnum(static_cast<unsigned char>(name.front())) != 0;
  std::string_view rest = name;
  while (good) {
    const size_t end = std::min(rest.find_first_of("/:@"), rest.size());
    const std::string_view part = rest.substr(0, end);
    good =
        !part.empty() && part != "." && part != ".." && part.front() != ' ' && part.back() != ' ';
    if (end == rest.size()) break;
    rest.remove_prefix(end + 1);
  }
  if (good) return {};
  return usage_error(fmt::format(
      "model name {}: expected 1 to {} letters, digits, blanks and . _ - + = ( ) [ ] : / @, "
      "beginning with a letter or digit; between : / @ nothing empty, . or .., no blank at an end",
      excerpt(name), kMaxModelNameBytes));
}

Status check_file_name(std::string_view name, std::string_view what) {
  const bool good = !name.empty() && name.size() <= kMaxFileNameBytes &&
                    std::all_of(name.begin(), name.end(), is_file_name_character) &&
                    name.front() != '.' && name.front() != '-' && name.front() != ' ' &&
                    name.back() != ' ';
  if (good) return {};
  return bad_file(
      fmt::format("{}: expected a file name of 1 to {} letters, digits and . _ - + = ( "
                  ") [ ], found {}",
                  what, kMaxFileNameBytes, excerpt(name)));
}

}  // namespace reckon
