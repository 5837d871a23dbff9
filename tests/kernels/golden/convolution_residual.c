void map_0(dlc_team *team, const float *restrict p0, float *restrict p1)
{
    for (int64_t i1 = 0; i1 < 16; ++i1) {
        for (int64_t i2 = 0; i2 < 16; ++i2) {
            #pragma omp simd
            for (int64_t i3 = 0; i3 < 32; ++i3) {
                p1[i1 * 512 + i2 * 32 + i3] = ((i1 >= 1) & (i1 < 15)) & ((i2 >= 1) & (i2 < 15)) ? p0[i1 * 448 + i2 * 32 + i3 - 480] : 0.0f;
            }
        }
    }
}

void convolution_1(dlc_team *team, const float *restrict p0, const float *restrict p1, const float *restrict p2, float *restrict p3)
{
    const dlc_range part = dlc_split(team, 84);
    for (int64_t p = part.begin; p < part.end; ++p) {
        const int64_t m0 = p / 6;
        const int64_t rb = (p / 2) % 3;
        const int64_t nb = p % 2;
        float tile[80] DLC_ALIGNED;
        dlc_tile_contract(5, 16, 0, dlc_min(14 - rb * 5, 5), p0 + m0 * 512 + rb * 160, 32, 1, 0, 3, 512, 96, 1, p1 + nb * 4608, 0, tile);
        for (int64_t i = 0; i < dlc_min(14 - rb * 5, 5); ++i) {
            const int64_t m = i + rb * 5;
            #pragma omp simd
            for (int64_t j = 0; j < 16; ++j) {
                p3[j + m * 32 + m0 * 448 + nb * 16] = dlc_maximum_f32(tile[i * 16 + j] + p2[j + m * 32 + m0 * 448 + nb * 16], 0.0f);
            }
        }
    }
}
