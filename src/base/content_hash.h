// A fast 64-bit hash that finds damage: a file cut, a page lost, a bit turned. It is no defence
// against somebody who looks for collisions (store/sha256.h is).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace reckon {

// The same on every machine. A change within any one aligned word of 8 bytes always changes it.
uint64_t content_hash(std::span<const std::byte> bytes);

}  // namespace reckon
