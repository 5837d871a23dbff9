void window_0(dlc_team *team, const float *restrict p0, float *restrict p1)
{
    for (int64_t i1 = 0; i1 < 4; ++i1) {
        for (int64_t i2 = 0; i2 < 4; ++i2) {
            float a1[16] DLC_ALIGNED;
            #pragma omp simd
            for (int64_t i3 = 0; i3 < 16; ++i3) {
                a1[i3] = -INFINITY;
            }
            for (int64_t r0_1 = 0; r0_1 < 3; ++r0_1) {
                for (int64_t r0_2 = 0; r0_2 < 3; ++r0_2) {
                    if ((i1 * 2 + r0_1 >= 1) & (i2 * 2 + r0_2 >= 1)) {
                        #pragma omp simd
                        for (int64_t i3 = 0; i3 < 16; ++i3) {
                            a1[i3] = dlc_maximum_f32(a1[i3], p0[i1 * 256 + i2 * 32 + i3 + r0_1 * 128 + r0_2 * 16 - 144]);
                        }
                    }
                }
            }
            #pragma omp simd
            for (int64_t i3 = 0; i3 < 16; ++i3) {
                p1[i1 * 64 + i2 * 16 + i3] = a1[i3];
            }
        }
    }
}
