// OpenSSL's digest behind sha256.h.
#include "store/sha256.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cerrno>
#include <cstring>
#include <vector>

#include "base/check.h"

namespace reckon {

struct Sha256::Context {
  EVP_MD_CTX* digest = EVP_MD_CTX_new();
};

Sha256::Sha256() : context_(std::make_unique<Context>()) {
  // Both fail only when there is no memory, as new would.
  if (context_->digest == nullptr ||
      EVP_DigestInit_ex(context_->digest, EVP_sha256(), nullptr) != 1) {
    EVP_MD_CTX_free(context_->digest);
    throw std::bad_alloc();
  }
}

Sha256::~Sha256() { EVP_MD_CTX_free(context_->digest); }

void Sha256::update(std::span<const std::byte> data) {
  RECKON_CHECK(EVP_DigestUpdate(context_->digest, data.data(), data.size()) == 1);
}

std::string Sha256::finish() {
  std::array<unsigned char, 32> digest{};
  unsigned int length = 0;
  RECKON_CHECK(EVP_DigestFinal_ex(context_->digest, digest.data(), &length) == 1 &&
               length == digest.size());
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  for (const unsigned char byte : digest) {
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

std::string sha256_of(std::string_view text) {
  Sha256 digest;
  digest.update(std::as_bytes(std::span(text.data(), text.size())));
  return digest.finish();
}

Result<std::string> sha256_of_file(int fd, const std::string& path,
                                   const std::function<bool(uint64_t)>& told) {
  constexpr size_t kBufferBytes = size_t{1} << 20;
  ::posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
  std::vector<std::byte> buffer(kBufferBytes);
  Sha256 digest;
  uint64_t offset = 0;
  while (true) {
    const ssize_t n = ::pread(fd, buffer.data(), buffer.size(), static_cast<off_t>(offset));
    const int error = errno;
    if (n < 0 && error == EINTR) continue;
    if (n < 0) return bad_file(path + ": can't be read: " + std::strerror(error));
    if (n == 0) return digest.finish();
    digest.update(std::span(buffer).first(static_cast<size_t>(n)));
    offset += static_cast<uint64_t>(n);
    if (told && !told(offset)) return Error{ErrorKind::kInterrupted, ""};
  }
}

bool is_sha256(std::string_view text) {
  return text.size() == 64 && std::all_of(text.begin(), text.end(),
                                          [](unsigned char c) { return std::isxdigit(c) != 0; });
}

}  // namespace reckon
