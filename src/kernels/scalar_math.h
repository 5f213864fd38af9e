// Our own elementary functions in double precision, built from additions, multiplications,
// divisions and explicit FMA alone, so that every processor and C library gives the same bits.
// For tables made at load or once a step (rotary angles, log-probabilities); the float exp of the
// hot loops stands in the kernels.
#pragma once

namespace reckon {

double exact_exp(double x);
double exact_log(double x);  // x > 0
// Both at once; |x| up to 2^31 or so.
void exact_sin_cos(double x, double* sine, double* cosine);

}  // namespace reckon
