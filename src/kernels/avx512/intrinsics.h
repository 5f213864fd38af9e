// The intrinsics of this folder: the compiler's own, or plain C++ in their place, with which the
// tests run these sources on processors without AVX-512.
#pragma once

#ifdef RECKON_AVX512_INTRINSICS
#include RECKON_AVX512_INTRINSICS
#else
#if defined(__GNUC__) && !defined(__clang__)
// g++ 12 warns of its own header's deliberately undefined registers.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#include <immintrin.h>
#pragma GCC diagnostic pop
#else
#include <immintrin.h>
#endif
#endif
