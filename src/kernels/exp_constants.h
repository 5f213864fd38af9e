// The constants of the kernels' exp: e^x = 2^n * e^r, n = round(x / ln 2), |r| <= ln(2) / 2
// (Cody and Waite 1980). docs/numerics.md states the sequence of operations.
#pragma once

namespace reckon::kernels {

// Above it e^x exceeds the largest float: the result is +infinity. The largest float below
// ln(2^128 (1 - 2^-24)) = 88.722839.
constexpr float kExpMax = 0x1.62e42ep6f;
// Below it the result is 0, so that 2^n e^r never leaves the normal range: e^-87.3 > 2^-126.
constexpr float kExpMin = -87.3f;
// 1.5 * 2^23: a float of this size counts in ones, so adding it rounds to an integer, to nearest
// even, and leaves that integer in the low mantissa bits.
constexpr float kRoundShift = 0x1.8p23f;
constexpr float kLog2E = 0x1.715476p0f;
// ln 2 in two parts; n * kLn2High is exact, since its last eight bits are zero and |n| <= 128.
constexpr float kLn2High = 0x1.62e4p-1f;
constexpr float kLn2Low = 0x1.7f7d1cp-20f;
// (e^r - 1 - r) / r^2, minimax over the interval; the error
// of e^r that it leaves is 0.05 ulp.
constexpr float kExpC2 = 0x1.fffffcp-2f;
constexpr float kExpC3 = 0x1.555492p-3f;
constexpr float kExpC4 = 0x1.5558f2p-5f;
constexpr float kExpC5 = 0x1.123a2p-7f;
constexpr float kExpC6 = 0x1.6a23dp-10f;

}  // namespace reckon::kernels
