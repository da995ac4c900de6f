#pragma once

// Interpolation points of F(4x4,3x3): 0, ±3/4, ±3/2 and infinity. Compared with the customary 0, ±1, ±2 they halve the
// error of a convolution, and every constant below is exact in binary. With points a and b the Toom-Cook construction
// (Lavin and Gray 2016; Barabasz et al. 2020 on the choice of points) gives the rows written out in the kernels.
static const float F4_A = 0.75f;
static const float F4_B = 1.5f;
static const float F4_A2 = 0.5625f;          // a^2
static const float F4_B2 = 2.25f;            // b^2
static const float F4_A2B2 = 1.265625f;      // a^2 b^2
static const float F4_A2_PLUS_B2 = 2.8125f;  // a^2 + b^2
static const float F4_A3 = 0.421875f;        // a^3
static const float F4_B3 = 3.375f;           // b^3
