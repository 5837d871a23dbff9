void map_0(dlc_team *team, const float *restrict p0, float *restrict p1)
{
    for (int64_t i2a = 0; i2a < 64; ++i2a) {
        for (int64_t i3 = 0; i3 < 3; ++i3) {
            #pragma omp simd
            for (int64_t i2b = 0; i2b < 16; ++i2b) {
                p1[i2a * 48 + i2b * 3 + i3] = p0[i2a * 16 + i2b + i3 * 1024];
            }
        }
    }
}
